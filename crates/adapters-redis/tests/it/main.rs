//! The queue on a real Redis, which is killed, paused and emptied under it.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod silence;
