//! Throwaway servers for tests: started when asked for, gone with the process that asked.

pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod s3;
pub mod scene;
pub mod service;
pub mod vault;
