//! Numbers beyond 64 bits as several integers: of each, millions can be added up and nothing is lost.

use tranche_domain::trail::sums::Sums;

const BILLION: i128 = 1_000_000_000;
const TRILLION: i128 = 1_000_000_000_000;

/// The columns of sums, in this order: messages, open, then tokens of prompt and completion in billions
/// and a rest, then costs of both in billions of units, units, and trillionths.
macro_rules! columns {
    () => {
        "messages, open, prompt_tokens_billions, prompt_tokens, completion_tokens_billions, \
         completion_tokens, prompt_cost_billions, prompt_cost_units, prompt_cost_trillionths, \
         completion_cost_billions, completion_cost_units, completion_cost_trillionths"
    };
}
pub(super) use columns;

/// One number for each of [`columns`].
pub(super) type Limbs = [i64; 12];

/// What lies beyond is as much as there can be.
fn limb(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn split(sums: &Sums) -> Limbs {
    let tokens = [sums.prompt_tokens, sums.completion_tokens]
        .map(|count| [limb(count / BILLION), limb(count % BILLION)]);
    let costs = [sums.prompt_cost, sums.completion_cost].map(|trillionths| {
        let units = trillionths / TRILLION;
        [
            limb(units / BILLION),
            limb(units % BILLION),
            limb(trillionths % TRILLION),
        ]
    });
    let numbers = [sums.messages, sums.open].into_iter();
    let numbers = numbers.chain(tokens.into_iter().flatten());
    let numbers = numbers.chain(costs.into_iter().flatten());
    let mut limbs = Limbs::default();
    for (limb, number) in limbs.iter_mut().zip(numbers) {
        *limb = number;
    }
    limbs
}

/// What the columns come to; added up, a column may hold more than its share.
pub(super) fn join(limbs: &Limbs) -> Sums {
    let [messages, open, tokens_and_costs @ ..] = *limbs;
    let [
        prompt_billions,
        prompt_rest,
        completion_billions,
        completion_rest,
        costs @ ..,
    ] = tokens_and_costs;
    let [prompt_cost @ .., _, _, _] = costs;
    let [_, _, _, completion_cost @ ..] = costs;
    let tokens = |billions: i64, rest: i64| i128::from(billions) * BILLION + i128::from(rest);
    let cost = |[billions, units, trillionths]: [i64; 3]| {
        tokens(billions, units)
            .saturating_mul(TRILLION)
            .saturating_add(i128::from(trillionths))
    };
    Sums {
        messages,
        open,
        prompt_tokens: tokens(prompt_billions, prompt_rest),
        completion_tokens: tokens(completion_billions, completion_rest),
        prompt_cost: cost(prompt_cost),
        completion_cost: cost(completion_cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_in_parts() {
        let largest = 999_999_999_999_999_999_999_999_999_999;
        for (tokens, cost) in [
            (0, 0),
            (1, 1),
            (BILLION, TRILLION),
            (BILLION - 1, TRILLION - 1),
            (9_007_199_254_740_991 * 5_000, largest),
            (i128::from(i64::MAX), i128::MAX),
        ] {
            let sums = Sums {
                messages: 7,
                open: 3,
                prompt_tokens: tokens,
                completion_tokens: tokens / 2,
                prompt_cost: cost,
                completion_cost: cost / 3,
            };
            assert_eq!(join(&split(&sums)), sums);
        }
    }

    #[test]
    fn columns_that_were_added_up_give_the_sum() {
        let sums = Sums {
            messages: 1,
            prompt_tokens: BILLION - 1,
            prompt_cost: TRILLION * BILLION - 1,
            ..Sums::default()
        };
        let mut added = [0; 12];
        for _ in 0..1_000 {
            for (one, more) in added.iter_mut().zip(split(&sums)) {
                *one += more;
            }
        }
        let joined = join(&added);
        assert_eq!(joined.prompt_tokens, (BILLION - 1) * 1_000);
        assert_eq!(joined.prompt_cost, (TRILLION * BILLION - 1) * 1_000);
    }
}
