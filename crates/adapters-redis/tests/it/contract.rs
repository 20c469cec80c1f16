//! The rules of the queue. A crash takes the process and Redis together.

use std::sync::Arc;

use async_trait::async_trait;
use tranche_adapters_redis::{RedisQueue, Settings};
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{QueueUnderTest, Shape};
use tranche_tests::support::redis::Redis;

use crate::scene::{process_with, settings};

struct OnRedis {
    redis: Redis,
    settings: Settings,
    queue: Arc<RedisQueue>,
}

async fn fresh(shape: Shape) -> OnRedis {
    let redis = Redis::start().unwrap();
    let settings = Settings {
        limit: shape.events,
        claim_after: shape.hold,
        ..settings()
    };
    let queue = Arc::new(process_with(&redis, settings.clone()).await);
    OnRedis {
        redis,
        settings,
        queue,
    }
}

#[async_trait]
impl QueueUnderTest for OnRedis {
    fn queue(&self) -> Arc<dyn AuditQueue> {
        Arc::<RedisQueue>::clone(&self.queue)
    }

    async fn elsewhere(&self) -> Arc<dyn AuditQueue> {
        Arc::new(process_with(&self.redis, self.settings.clone()).await)
    }

    async fn crash(&mut self) {
        self.redis.kill().unwrap();
        self.redis.restart().unwrap();
        self.queue = Arc::new(process_with(&self.redis, self.settings.clone()).await);
    }

    async fn corrupt_oldest(&mut self) {
        // Redis changes no entry: the stream is written anew, under the same ids.
        let rewrite = "local all = redis.call('XRANGE', KEYS[1], '-', '+')
            redis.call('DEL', KEYS[1])
            for at, entry in ipairs(all) do
              local event = entry[2][2]
              if at == 1 then event = string.sub(event, 1, 20) end
              redis.call('XADD', KEYS[1], entry[1], 'event', event, 'at', entry[2][4])
            end";
        let key = self.settings.key.as_str();
        self.redis.run(&["EVAL", rewrite, "1", key]).unwrap();
    }
}

tranche_tests::queue_contract!(fresh);
