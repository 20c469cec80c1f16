//! Which parts of an event are sensitive, and whose they are.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

use crate::audit::record::EventRecord;

/// The most rules.
const MOST_RULES: usize = 50;
/// The most steps of a path.
const MOST_STEPS: usize = 32;
/// What stands for the client's address.
const IP_ADDRESS: &str = "ip_address";
/// What stands for the client's program.
const USER_AGENT: &str = "user_agent";

/// Why a text is no list of rules.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} {why}")]
pub struct RuleError {
    text: String,
    why: &'static str,
}

/// What is to be sealed. As text: `$.email,$.patient.*@$.patient.id,ip_address,user_agent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    details: Vec<Rule>,
    /// The client's address too.
    pub ip_address: bool,
    /// The client's program too.
    pub user_agent: bool,
}

/// A path into details, and whose data lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    path: Path,
    /// Where the subject's id is; the actor's, where absent.
    subject: Option<Path>,
}

/// Steps into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    /// Every field of an object, every item of a list.
    Any,
}

/// A place in an event's details that is to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// Whose.
    pub subject: String,
}

impl Rules {
    /// Whether nothing is sealed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.details.is_empty() && !self.seal_origin()
    }

    /// Whether anything of where a request came from is sealed.
    #[must_use]
    pub const fn seal_origin(&self) -> bool {
        self.ip_address || self.user_agent
    }

    /// The outermost places of an event's details that a rule is for; of several rules for one
    /// place, the first counts.
    pub(super) fn places(&self, event: &EventRecord) -> Vec<Place> {
        let mut places = Vec::new();
        if !self.details.is_empty() && event.details.is_object() {
            let rules: Vec<_> = self.details.iter().map(|rule| (rule, 0)).collect();
            collect(
                &event.details,
                &rules,
                &mut String::new(),
                &mut |rule, at| {
                    places.push(Place {
                        pointer: at.to_owned(),
                        subject: rule.whose(event),
                    });
                },
            );
        }
        places
    }
}

/// Walks down as long as a rule leads further.
fn collect<'r>(
    value: &Value,
    rules: &[(&'r Rule, usize)],
    at: &mut String,
    found: &mut impl FnMut(&'r Rule, &str),
) {
    if let Some((rule, _)) = rules.iter().find(|(rule, step)| rule.path.0.len() == *step) {
        if !value.is_null() {
            found(rule, at);
        }
        return;
    }
    let mut descend = |name: &str, inner: &Value| {
        let further: Vec<_> = rules
            .iter()
            .filter(|(rule, step)| rule.path.0[*step].leads_to(name))
            .map(|(rule, step)| (*rule, step + 1))
            .collect();
        if !further.is_empty() {
            let before = at.len();
            at.push('/');
            at.push_str(&name.replace('~', "~0").replace('/', "~1"));
            collect(inner, &further, at, found);
            at.truncate(before);
        }
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| descend(name, inner)),
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                descend(&place.to_string(), inner);
            }
        }
        _ => {}
    }
}

impl Rule {
    /// Whose data it is: the actor's where the event does not say.
    fn whose(&self, event: &EventRecord) -> String {
        let named = self
            .subject
            .as_ref()
            .and_then(|path| path.one(&event.details));
        match named {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => event.actor.id.clone(),
        }
    }
}

impl Step {
    fn leads_to(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Field(field) => field == name,
        }
    }
}

impl Path {
    /// What lies there, if every step is a field.
    fn one<'v>(&self, within: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(within, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Any => None,
        })
    }
}

fn wrong<T>(text: &str, why: &'static str) -> Result<T, RuleError> {
    Err(RuleError {
        text: text.chars().take(100).collect(),
        why,
    })
}

impl FromStr for Rules {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut rules = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part {
                IP_ADDRESS => rules.ip_address = true,
                USER_AGENT => rules.user_agent = true,
                path => rules.details.push(path.parse()?),
            }
        }
        if rules.details.len() > MOST_RULES {
            return wrong(text, "has more than 50 paths");
        }
        Ok(rules)
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (path, subject) = match text.split_once('@') {
            Some((path, subject)) => (path, Some(subject.parse::<Path>()?)),
            None => (text, None),
        };
        if subject
            .as_ref()
            .is_some_and(|path| path.0.contains(&Step::Any))
        {
            return wrong(text, "must name one field after @, without *");
        }
        Ok(Self {
            path: path.parse()?,
            subject,
        })
    }
}

impl FromStr for Path {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        const FORM: &str =
            "must be ip_address, user_agent or a path such as $.email or $.customer.*";
        let Some(steps) = text.strip_prefix("$.") else {
            return wrong(text, FORM);
        };
        let steps: Vec<Step> = steps
            .split('.')
            .map(|name| match name {
                "*" => Step::Any,
                name => Step::Field(name.to_owned()),
            })
            .collect();
        let is_good = |step: &Step| match step {
            Step::Any => true,
            Step::Field(name) => {
                !name.is_empty()
                    && !name.contains(|c: char| c.is_whitespace() || "*@$[]\"'".contains(c))
            }
        };
        if steps.len() > MOST_STEPS || !steps.iter().all(is_good) {
            return wrong(text, FORM);
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.details.iter().map(ToString::to_string).collect();
        if self.ip_address {
            parts.push(IP_ADDRESS.to_owned());
        }
        if self.user_agent {
            parts.push(USER_AGENT.to_owned());
        }
        f.write_str(&parts.join(","))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)?;
        match &self.subject {
            Some(subject) => write!(f, "@{subject}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.0 {
            match step {
                Step::Any => f.write_str(".*")?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}
