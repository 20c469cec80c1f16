//! The rules of every place that keeps assessment trails: databases, memory, and both at once.
//!
//! A backend hands in a [`TrailsUnderTest`] and expands [`trails_contract!`](crate::trails_contract). A
//! database does so twice, as [`OnStore`] and as [`OverBoth`], and for its clean-ups
//! [`trail_clean_ups_contract!`](crate::trail_clean_ups_contract).

pub mod cleaning;
pub mod keeping;
pub mod racing;
pub mod summing;
pub mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use tranche_application::ports::trails::{TrailCleanUps, TrailStore};
use tranche_application::trails::{Dual, Memory, MemoryLimits};
use tranche_domain::{MessageId, ProjectId, Role};
use uuid::Uuid;

use self::world::Noon;
use super::StoreUnderTest;
use super::scene::World;

/// A backend of trails, empty.
#[async_trait]
pub trait TrailsUnderTest: Send + Sync {
    /// The backend.
    fn trails(&self) -> Arc<dyn TrailStore>;

    /// A project that is there.
    async fn project(&self) -> ProjectId;

    /// Deletes it.
    async fn delete_project(&self, project: ProjectId);

    /// How many events about this message were posted; `None` where a backend posts none.
    async fn posted(&self, message: MessageId) -> Option<i64>;

    /// Whether it refuses trails of projects that are not there.
    fn knows_projects(&self) -> bool;
}

/// A database that keeps trails.
pub trait TrailsOnStore: StoreUnderTest {
    /// Its trails.
    fn trails(&self) -> Arc<dyn TrailStore>;

    /// The turns of their clean-up.
    fn trail_clean_ups(&self) -> Arc<dyn TrailCleanUps>;
}

/// A database by itself.
pub struct OnStore<S> {
    store: S,
    world: World,
}

impl<S: TrailsOnStore> OnStore<S> {
    /// An empty database.
    pub fn new(store: S) -> Self {
        let world = World::of(&store);
        Self { store, world }
    }
}

#[async_trait]
impl<S: TrailsOnStore> TrailsUnderTest for OnStore<S> {
    fn trails(&self) -> Arc<dyn TrailStore> {
        self.store.trails()
    }

    async fn project(&self) -> ProjectId {
        self.world.project(1_000).await.id
    }

    async fn delete_project(&self, project: ProjectId) {
        let world = &self.world;
        let found = world.queries.project(project).await.expect("it is read");
        let act = world.act("admin", Role::Admin);
        let change = found.expect("it is there").delete(&act);
        let change = change.expect("it never had a milestone");
        world.record(&change).await.expect("it is deleted");
    }

    async fn posted(&self, message: MessageId) -> Option<i64> {
        let from = format!(
            "audit_outbox WHERE action = 'trail.changed' AND resource_id = '{message}' \
             AND severity = 'warning' AND resource_type = 'assessment_trail'"
        );
        Some(self.store.count(&from).await)
    }

    fn knows_projects(&self) -> bool {
        true
    }
}

/// A memory by itself.
pub struct InMemory {
    memory: Arc<Memory>,
    projects: AtomicU64,
}

impl Default for InMemory {
    fn default() -> Self {
        Self {
            memory: memory(),
            projects: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl TrailsUnderTest for InMemory {
    fn trails(&self) -> Arc<dyn TrailStore> {
        self.memory.clone()
    }

    async fn project(&self) -> ProjectId {
        let number = self.projects.fetch_add(1, Ordering::SeqCst);
        ProjectId(Uuid::from_u128(0xF00D + u128::from(number)))
    }

    async fn delete_project(&self, project: ProjectId) {
        self.memory.forget(project);
    }

    async fn posted(&self, _: MessageId) -> Option<i64> {
        None
    }

    fn knows_projects(&self) -> bool {
        false
    }
}

/// Both at once, over any other.
pub struct OverBoth<T> {
    database: T,
    memory: Arc<Memory>,
    dual: Arc<Dual>,
}

impl<T: TrailsUnderTest> OverBoth<T> {
    /// An empty memory before this backend.
    pub fn new(database: T) -> Self {
        let memory = memory();
        let dual = Arc::new(Dual::new(database.trails(), memory.clone()));
        Self {
            database,
            memory,
            dual,
        }
    }
}

#[async_trait]
impl<T: TrailsUnderTest> TrailsUnderTest for OverBoth<T> {
    fn trails(&self) -> Arc<dyn TrailStore> {
        self.dual.clone()
    }

    async fn project(&self) -> ProjectId {
        self.database.project().await
    }

    async fn delete_project(&self, project: ProjectId) {
        self.database.delete_project(project).await;
        self.memory.forget(project);
    }

    async fn posted(&self, message: MessageId) -> Option<i64> {
        self.database.posted(message).await
    }

    fn knows_projects(&self) -> bool {
        self.database.knows_projects()
    }
}

/// With room for every trail of these rules.
fn memory() -> Arc<Memory> {
    let limits = MemoryLimits {
        keep: TimeDelta::days(10_000),
        ..MemoryLimits::DEFAULT
    };
    Arc::new(Memory::new(Arc::new(Noon), limits))
}

/// One `#[tokio::test]` for each rule of trails. `$factory` names an
/// `async fn() -> impl TrailsUnderTest` in scope.
#[macro_export]
macro_rules! trails_contract {
    ($factory:ident) => {
        $crate::trails_contract! { @each $factory;
            keeping: [
                a_trail_reads_back_as_it_was_saved,
                a_save_replaces_what_it_was_made_of,
                a_refused_save_changes_nothing,
                a_changed_trail_leaves_its_event,
                a_copy_goes_by_time_before_its_version,
                a_copy_is_kept_unless_there_is_a_later_one,
                a_page_of_copies_is_kept_at_once,
                a_copy_does_not_take_another_projects_place,
                pages_give_every_trail_once,
                a_scope_reaches_its_project_alone,
                the_oldest_expire_first,
                trails_go_with_their_project,
                a_project_that_is_not_there_has_no_trails,
            ];
            racing: [
                one_of_many_first_saves_wins,
                no_write_of_many_is_lost,
                copies_and_writes_come_to_the_latest,
                pages_of_copies_and_writes_do_not_hinder_one_another,
                sums_agree_after_a_crowd,
            ];
            summing: [
                analytics_are_what_a_recount_gives,
                sums_outlive_their_trails,
                sums_go_when_no_trail_of_their_hour_is_left,
                ranges_begin_and_end_where_they_say,
                sums_are_exact_at_the_limits,
                the_dearest_models_are_listed,
                the_newest_trails_are_shown,
            ];
        }
    };
    (@each $factory:ident; $($topic:ident: [$($rule:ident,)*];)*) => {
        $(mod $topic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                let subject = super::$factory().await;
                $crate::contract::trails::$topic::$rule(&subject).await;
            })*
        })*
    };
}

/// One `#[tokio::test]` for each rule of the clean-up's turns. `$factory` names an
/// `async fn() -> impl TrailsOnStore` in scope.
#[macro_export]
macro_rules! trail_clean_ups_contract {
    ($factory:ident) => {
        mod cleaning {
            $crate::trail_clean_ups_contract! { @each $factory:
                a_clean_up_is_of_one_process,
                a_turn_that_was_not_ended_is_taken_over,
                an_end_and_its_event_come_together_once,
                ends_of_long_ago_are_forgotten,
                what_a_deleted_project_leaves_goes_in_batches,
                a_message_is_free_when_its_project_is_gone,
            }
        }
    };
    (@each $factory:ident: $($rule:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $rule() {
            let subject = super::$factory().await;
            $crate::contract::trails::cleaning::$rule(&subject).await;
        })*
    };
}
