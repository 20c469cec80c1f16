//! The directory of actors.

use chrono::TimeDelta;
use tranche_application::ports::actors::Person;

use super::StoreUnderTest;
use super::scene::World;

fn person(name: Option<&str>, email: Option<&str>) -> Person {
    Person {
        name: name.map(str::to_owned),
        email: email.map(str::to_owned),
    }
}

/// What is not told stays; what was told later is not overwritten (S4).
pub async fn a_person_is_kept_as_told_last(subject: &dyn StoreUnderTest) {
    let actors = subject.actors();
    let now = World::of(subject).now();
    let second = TimeDelta::seconds(1);
    let known = async || {
        let named = actors.named(&["ada".to_owned()]).await;
        named.expect("it is read").remove("ada")
    };
    let steps = [
        (person(None, None), now, None),
        (
            person(Some("Ada"), None),
            now,
            Some(person(Some("Ada"), None)),
        ),
        (
            person(None, Some("ada@x.ng")),
            now + second,
            Some(person(Some("Ada"), Some("ada@x.ng"))),
        ),
        (
            person(Some("Old"), None),
            now,
            Some(person(Some("Ada"), Some("ada@x.ng"))),
        ),
        (
            person(None, None),
            now + second,
            Some(person(Some("Ada"), Some("ada@x.ng"))),
        ),
        (
            person(Some("Ada O."), None),
            now + second,
            Some(person(Some("Ada O."), Some("ada@x.ng"))),
        ),
        (
            person(Some("Adaeze"), Some("a@x.ng")),
            now + second,
            Some(person(Some("Adaeze"), Some("a@x.ng"))),
        ),
    ];
    for (told, at, then) in steps {
        actors.keep("ada", &told, at).await.expect("it is kept");
        assert_eq!(known().await, then, "{told:?}");
    }
}

/// Only those that are known are told.
pub async fn unknown_actors_have_no_names(subject: &dyn StoreUnderTest) {
    let actors = subject.actors();
    let now = World::of(subject).now();
    let ids = ["o'neill \"o\"", "ada", "nobody"].map(str::to_owned);
    for id in &ids[..2] {
        let kept = actors.keep(id, &person(Some(id), None), now).await;
        kept.expect("it is kept");
    }
    let named = actors.named(&ids).await.expect("it is read");
    assert_eq!(named.len(), 2);
    assert_eq!(named["ada"], person(Some("ada"), None));
    assert_eq!(actors.named(&[]).await.expect("it is read").len(), 0);
}
