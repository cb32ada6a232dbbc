//! Users, the hashes of their passwords, and their rights.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;

use bcrypt::HashParts;

/// The highest cost of a hash: a check takes about three seconds.
const MOST_COST: u32 = 16;

/// Users and their rights. See the [module](super) for the format of a file.
///
/// Its `Debug` output shows names, but no hashes.
pub struct Users {
    by_name: BTreeMap<Box<str>, User>,
    /// The rights of everyone.
    anyone: Vec<Rule>,
}

struct User {
    hash: Box<str>,
    rules: Vec<Rule>,
}

/// The right that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Read,
    Write,
}

/// The right to a path and everything beneath it.
struct Rule {
    /// Without the slash at the end: empty for everything.
    path: Box<str>,
    access: Access,
}

impl Users {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// `ErrorKind::InvalidData` if a line is invalid. The message has its number, and never a
    /// password or a hash.
    pub fn parse(text: &str) -> io::Result<Users> {
        let mut users = Users { by_name: BTreeMap::new(), anyone: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            users.add(line.trim()).map_err(|what| {
                let text = format!("line {}: {what}", index + 1);
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
        }
        Ok(users)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(rules) = line.strip_prefix('@') {
            self.anyone.extend(parse_rules(rules)?);
            return Ok(());
        }
        let (name, rest) = line.split_once(':').ok_or("a line is NAME:HASH or NAME:HASH@RULES")?;
        let (hash, rules) = match rest.split_once('@') {
            Some((hash, rules)) => (hash, parse_rules(rules)?),
            None => (rest, vec![Rule { path: "".into(), access: Access::Write }]),
        };
        let parts = HashParts::from_str(hash).map_err(|_| {
            format!("the password of {name:?} is not hashed with bcrypt; use `htpasswd -nB {name}`")
        })?;
        if parts.get_cost() > MOST_COST {
            return Err(format!("the hash of {name:?} has a cost above {MOST_COST}"));
        }
        if self.by_name.insert(name.into(), User { hash: hash.into(), rules }).is_some() {
            return Err(format!("there are two users {name:?}"));
        }
        Ok(())
    }

    /// Whether a user, or anyone, may access a path. See [`plain`](super::path::plain).
    pub(super) fn allow(&self, user: Option<&str>, path: Option<&[u8]>, access: Access) -> bool {
        let user = user.and_then(|name| self.by_name.get(name));
        let rules = user.iter().flat_map(|user| &user.rules).chain(&self.anyone);
        rules.into_iter().any(|rule| rule.covers(path) && access <= rule.access)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The hash of a user. If there is no such user, the hash of another one, so that the check
    /// takes the same time.
    pub(super) fn hash_of(&self, name: &str) -> Option<&str> {
        let user = self.by_name.get(name).or_else(|| self.by_name.values().next());
        user.map(|user| &*user.hash)
    }
}

impl Rule {
    fn covers(&self, path: Option<&[u8]>) -> bool {
        let rest = path.map(|path| path.strip_prefix(self.path.as_bytes()));
        match rest {
            None => self.path.is_empty(),
            Some(rest) => rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..])),
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// Parses rules: `/docs,/in:rw`.
fn parse_rules(text: &str) -> Result<Vec<Rule>, String> {
    text.split(',').map(|rule| parse_rule(rule.trim())).collect()
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let (path, access) = match text.rsplit_once(':') {
        Some((path, "rw")) => (path, Access::Write),
        Some((path, "ro")) => (path, Access::Read),
        Some(_) => return Err(format!("the rule {text:?} does not end with :ro or :rw")),
        None => (text, Access::Read),
    };
    let inside = path.strip_prefix('/').map(|inside| inside.strip_suffix('/').unwrap_or(inside));
    let inside =
        inside.ok_or_else(|| format!("the path of the rule {text:?} does not begin with /"))?;
    let is_plain = |name: &str| !matches!(name, "" | "." | "..");
    if !inside.is_empty() && !inside.split('/').all(is_plain) {
        return Err(format!("no request has the path of the rule {text:?}"));
    }
    let path = if inside.is_empty() { String::new() } else { format!("/{inside}") };
    Ok(Rule { path: path.into(), access })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$LHMmVs6dZ0jxuhbQmmXqEevjt/fV4MpWZ1YpZ13x22jdrd/Mbp1cK";

    fn error(text: &str) -> String {
        Users::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn rules_give_rights_to_a_path_and_to_all_beneath_it() {
        let text = format!(
            "# staff\n\n  alice:{HASH}\nbob@example.org:{HASH}@/docs, /in/:rw\n@/public,/in\n"
        );
        let users = Users::parse(&text).unwrap();
        let rights = |user: Option<&str>, path: &str| {
            let path = Some(path.as_bytes());
            [Access::Read, Access::Write].map(|access| users.allow(user, path, access))
        };
        let (alice, bob, mallory) = (Some("alice"), Some("bob@example.org"), Some("mallory"));
        for (user, path, expected) in [
            (None, "", [false, false]),
            (None, "/public", [true, false]),
            (None, "/public/a", [true, false]),
            (None, "/publicity", [false, false]),
            (None, "/in/a", [true, false]),
            (mallory, "/docs", [false, false]),
            (mallory, "/public", [true, false]),
            (alice, "", [true, true]),
            (alice, "/a/b", [true, true]),
            (bob, "", [false, false]),
            (bob, "/docs", [true, false]),
            (bob, "/docs/a", [true, false]),
            (bob, "/in", [true, true]),
            (bob, "/in/a", [true, true]),
            (bob, "/public/a", [true, false]),
        ] {
            assert_eq!(rights(user, path), expected, "{user:?} {path}");
        }
        assert!(users.allow(alice, None, Access::Write));
        assert!(!users.allow(bob, None, Access::Read));
        assert_eq!(format!("{users:?}"), r#"{"alice", "bob@example.org"}"#);
    }

    #[test]
    fn an_invalid_line_is_named_by_its_number_and_not_quoted() {
        let costly = HASH.replace("$05$", "$17$");
        for (text, expected) in [
            ("alice".to_owned(), "line 1: a line is NAME:HASH"),
            ("\n\nalice:secret".to_owned(), "line 3: the password of \"alice\" is not hashed"),
            ("a:$apr1$x$y".to_owned(), "use `htpasswd -nB a`"),
            (format!("a:{costly}"), "cost above 16"),
            (format!("a:{HASH}\na:{HASH}"), "line 2: there are two users"),
            (format!("a:{HASH}@docs"), "does not begin with /"),
            (format!("a:{HASH}@/docs:w"), "does not end with :ro or :rw"),
            (format!("a:{HASH}@/docs/../x"), "no request has the path"),
            (format!("a:{HASH}@"), "does not begin with /"),
            ("@/a//b".to_owned(), "no request has the path"),
        ] {
            let error = error(&text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret") && !error.contains("$17$"), "{error}");
        }
    }
}
