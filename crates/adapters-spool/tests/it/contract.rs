//! The rules of every queue, on queues that remember what is fresh and on queues that read
//! everything back.

use std::sync::Arc;

use async_trait::async_trait;
use tranche_adapters_spool::{Limits, Settings, SpoolQueue};
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{QueueUnderTest, Shape};

use crate::scene::{Scene, execute};

struct Subject {
    scene: Scene,
    settings: Settings,
    queue: Arc<SpoolQueue>,
}

impl Subject {
    async fn new(shape: Shape, memory: u64) -> Self {
        let scene = Scene::new();
        let settings = Settings {
            limits: Limits {
                events: Some(shape.events),
                bytes: None,
            },
            memory,
            hold: shape.hold,
        };
        let queue = Arc::new(scene.open(settings).await);
        Self {
            scene,
            settings,
            queue,
        }
    }
}

#[async_trait]
impl QueueUnderTest for Subject {
    fn queue(&self) -> Arc<dyn AuditQueue> {
        Arc::clone(&self.queue) as Arc<dyn AuditQueue>
    }

    async fn elsewhere(&self) -> Arc<dyn AuditQueue> {
        self.queue()
    }

    async fn crash(&mut self) {
        self.scene = self.scene.image();
        self.queue = Arc::new(self.scene.open(self.settings).await);
    }

    async fn corrupt_oldest(&mut self) {
        self.queue.close().await;
        execute(
            &self.scene.file,
            "UPDATE frames
             SET payload = CAST(replace(CAST(payload AS TEXT), 'third', 'thirt') AS BLOB)
             WHERE sequence = (SELECT min(sequence) FROM frames)",
        )
        .await;
        self.queue = Arc::new(self.scene.open(self.settings).await);
    }
}

mod remembering {
    use super::{Shape, Subject};

    async fn fresh(shape: Shape) -> Subject {
        Subject::new(shape, 16 << 20).await
    }

    tranche_tests::queue_contract!(fresh);
}

mod forgetful {
    use super::{Shape, Subject};

    async fn fresh(shape: Shape) -> Subject {
        Subject::new(shape, 0).await
    }

    tranche_tests::queue_contract!(fresh);
}

/// Room for some events in memory, so that takings go back and forth between memory and file.
mod between {
    use super::{Shape, Subject};

    async fn fresh(shape: Shape) -> Subject {
        Subject::new(shape, 20_000).await
    }

    tranche_tests::queue_contract!(fresh);
}
