//! Refusals of trails: all of them at once (T1, T3).

use tranche_domain::Trail;
use tranche_domain::trail::{CostAmount, Part, Stated, TokenCount, TrailAmendment, TrailContent};

use super::trails::{MESSAGE, PROJECT, act, fields, opened, time, whole};

/// Whoever sends several wrong things learns of all of them at once.
#[test]
fn everything_that_is_wrong_is_named() {
    let off = |content: &mut TrailContent| {
        content.tokens.as_mut().unwrap().total = Some(TokenCount::try_new(1).unwrap());
        content.cost.as_mut().unwrap().total = Some(CostAmount::ZERO);
    };
    let mut content = TrailContent {
        created_at: Some(time(61)),
        ..whole()
    };
    off(&mut content);
    let sums = ["tokens.total", "cost.total"];
    let all = ["created_at", sums[0], sums[1]];
    let refused = Trail::open(MESSAGE, PROJECT, content.clone(), time(0)).unwrap_err();
    assert_eq!(fields(&refused), all);
    assert_eq!(
        refused.to_string(),
        "created_at must not be in the future, tokens.total must be the sum of prompt and \
         completion, cost.total must be the sum of prompt and completion"
    );
    let known = content.refusals(time(0));
    assert_eq!(known, refused.all(), "before the trail is known");
    let replaced = opened(whole()).replace(content.clone(), &act(5));
    assert_eq!(fields(&replaced.unwrap_err()), all);
    let empty = TrailContent {
        tokens: Some(Stated::default()),
        ..whole()
    };
    let refused = Trail::open(MESSAGE, PROJECT, empty, time(0)).unwrap_err();
    assert_eq!(fields(&refused), ["tokens.prompt", "tokens.completion"]);

    let mut amendment = TrailAmendment {
        model: Part::Cleared,
        tokens: Part::Given(content.tokens.unwrap()),
        cost: Part::Given(content.cost.unwrap()),
        ..TrailAmendment::default()
    };
    let refused = opened(whole()).amend(amendment.clone(), &act(5));
    assert_eq!(fields(&refused.unwrap_err()), [sums[0], sums[1], "model"]);
    assert_eq!(amendment.refusals().len(), 2);
    // Whether it is the sum is only known beside the trail.
    if let Part::Given(stated) = &mut amendment.tokens {
        stated.prompt = None;
    }
    assert_eq!(amendment.refusals().len(), 1);
    let refused = opened(whole()).amend(amendment, &act(5));
    assert_eq!(fields(&refused.unwrap_err()), [sums[0], sums[1], "model"]);
}
