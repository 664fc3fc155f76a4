//! From the `config:` section to an author's type, with errors that name the key.

use super::error::Error;
use serde::de::value::{Error as Stop, MapDeserializer};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value};
use std::cell::Cell;

/// Decodes an instance's configuration (a JSON object).
///
/// A key that the type does not know is an error even where the type would ignore it: a misspelt option must
/// not pass for the default.
pub(crate) fn decode<C: DeserializeOwned>(json: &str) -> Result<C, Error> {
    let config: Value =
        serde_json::from_str(json).map_err(|error| Error::config(format!("no JSON: {error}")))?;
    let shape = shape_of::<C>();
    if let Value::Object(section) = &config {
        match shape {
            Shape::Struct(known) => known_keys_only(section.keys(), known)?,
            Shape::Unit if section.is_empty() => return from_value(Value::Null),
            Shape::Unit | Shape::Other => {}
        }
    }
    from_value(config)
}

fn from_value<C: DeserializeOwned>(config: Value) -> Result<C, Error> {
    C::deserialize(&config).map_err(|error| {
        let key = config.as_object().and_then(key_at_fault::<C>);
        Error::config(key.map_or_else(|| error.to_string(), |key| format!("`{key}`: {error}")))
    })
}

/// The key whose value the type refuses, where it refuses one: the last one that it took before it gave up.
fn key_at_fault<C: DeserializeOwned>(section: &Map<String, Value>) -> Option<&str> {
    let taken = Cell::new(None);
    let entries = section.iter().map(|(key, value)| {
        taken.set(Some(key.as_str()));
        (key.as_str(), value)
    });
    // Having taken them all, it misses one that is not there.
    let end = std::iter::from_fn(|| {
        taken.set(None);
        None
    });
    let refused = C::deserialize(MapDeserializer::<_, serde_json::Error>::new(entries.chain(end))).is_err();
    taken.get().filter(|_| refused)
}

fn known_keys_only<'a>(
    mut keys: impl Iterator<Item = &'a String>,
    known: &'static [&'static str],
) -> Result<(), Error> {
    let Some(key) = keys.find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let advice = match nearest(key, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "this class takes no options".to_owned(),
        None => format!("known keys: `{}`", known.join("`, `")),
    };
    Err(Error::config(format!("unknown key `{key}`; {advice}")))
}

/// The known name that a misspelt one most likely means: at most a third of its letters differ.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &&str| edit_distance(name, candidate);
    let best = known.iter().copied().min_by_key(distance)?;
    (distance(&best) <= name.chars().count().max(3) / 3).then_some(best)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// What a type asks a deserializer for.
enum Shape {
    Struct(&'static [&'static str]),
    Unit,
    Other,
}

/// Asks `C` for its shape by a deserializer that looks at the question and answers nothing.
fn shape_of<C: DeserializeOwned>() -> Shape {
    let mut shape = Shape::Other;
    let _ = C::deserialize(ShapeProbe(&mut shape));
    shape
}

struct ShapeProbe<'p>(&'p mut Shape);

fn stop<T>() -> Result<T, Stop> {
    Err(serde::de::Error::custom("only the shape was asked for"))
}

impl<'de> Deserializer<'de> for ShapeProbe<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        stop()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        *self.0 = Shape::Struct(fields);
        stop()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        *self.0 = Shape::Unit;
        stop()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Stop> {
        *self.0 = Shape::Unit;
        stop()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use crate::NoConfig;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Ports {
        #[serde(default)]
        ports: Vec<u16>,
        #[serde(default, alias = "every_ms")]
        interval_ms: u64,
    }

    fn complaint<C: serde::de::DeserializeOwned>(json: &str) -> String {
        match decode::<C>(json) {
            Ok(_) => panic!("{json} was accepted"),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn known_keys_and_aliases_are_read() {
        let config: Ports = decode(r#"{"ports":[80],"every_ms":5}"#).unwrap();
        assert_eq!(config, Ports { ports: vec![80], interval_ms: 5 });
    }

    #[test]
    fn a_misspelt_key_is_an_error_with_the_nearest_name() {
        assert_eq!(complaint::<Ports>(r#"{"prots":[80]}"#), "unknown key `prots`; did you mean `ports`?");
    }

    #[test]
    fn a_foreign_key_is_an_error_with_all_names() {
        let message = complaint::<Ports>(r#"{"colour":"red"}"#);
        assert!(message.starts_with("unknown key `colour`; known keys: `ports`"), "{message}");
    }

    #[test]
    fn a_wrong_type_is_named() {
        let message = complaint::<Ports>(r#"{"ports":"all"}"#);
        assert!(message.starts_with("`ports`: invalid type: string \"all\""), "{message}");
        let message = complaint::<Ports>(r#"{"interval_ms":-1,"ports":[1]}"#);
        assert!(message.starts_with("`interval_ms`: invalid value: integer `-1`"), "{message}");
    }

    #[derive(Deserialize, Debug)]
    struct Needy {
        #[serde(rename = "must")]
        _must: u32,
        #[serde(default, rename = "may")]
        _may: u32,
    }

    #[derive(Deserialize, Debug)]
    struct Wrapped(#[expect(dead_code, reason = "only its errors are of interest")] Needy);

    #[test]
    fn a_missing_key_is_named_alone() {
        assert_eq!(complaint::<Needy>(r#"{"may":1}"#), "missing field `must`");
        assert_eq!(complaint::<Wrapped>(r#"{"may":1}"#), "missing field `must`");
        assert!(complaint::<Wrapped>(r#"{"must":"x"}"#).starts_with("invalid type"));
        let limits = complaint::<BTreeMap<String, f64>>(r#"{"a.b":1,"c.d":"x"}"#);
        assert!(limits.starts_with("`c.d`: invalid type"), "{limits}");
    }

    #[test]
    fn a_class_without_options_refuses_every_key() {
        assert_eq!(decode::<NoConfig>("{}"), Ok(NoConfig {}));
        assert_eq!(decode::<()>("{}"), Ok(()));
        assert_eq!(complaint::<NoConfig>(r#"{"x":1}"#), "unknown key `x`; this class takes no options");
    }

    #[test]
    fn free_maps_take_any_key() {
        let limits: BTreeMap<String, f64> = decode(r#"{"net.tcp.established":5}"#).unwrap();
        assert_eq!(limits["net.tcp.established"], 5.0);
    }
}
