//! What every value with a notation of its own has in common: one parser, one rendering, one schema.

use serde_json::Value;

/// A configuration value written as one YAML scalar, such as `10s` or `SIGTERM`.
///
/// The loader finds the parser by [`Scalar::FORMAT`], which stands in the JSON Schema as `format`; so a bad value is
/// reported with its place in the file, together with all other errors, before anything is deserialised.
pub trait Scalar: Sized {
    /// The name of the definition in the JSON Schema.
    const NAME: &'static str;
    /// The word under `format` in the JSON Schema.
    const FORMAT: &'static str;

    /// Reads the value.
    ///
    /// # Errors
    /// [`ValueError`] says what was expected and what was found.
    fn parse(value: &Value) -> Result<Self, ValueError>;

    /// Writes the value so that [`Scalar::parse`] gives it back.
    fn render(&self) -> Value;

    /// The JSON Schema without `format`: `type`, bounds, `description`.
    fn describe() -> Value;
}

/// Why a scalar was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a duration.
    #[error("`{0}` is not a duration: write seconds as a number, or 500ms, 10s, 5m, 2h, 7d")]
    Duration(String),
    /// Not a size.
    #[error("`{0}` is not a size: write bytes as a number, or 64KiB, 10MiB, 1GB")]
    Size(String),
    /// Not a percentage.
    #[error("`{0}` is not a percentage: write a number above 0 and at most 100")]
    Percent(String),
    /// Not a signal.
    #[error("`{0}` is not a signal: write a name such as SIGTERM or a number from 1 to 64")]
    Signal(String),
    /// Not a time limit.
    #[error(
        "`{0}` is not a time limit: write a duration such as 10m, or a part of the median run time such as 200%"
    )]
    TimeLimit(String),
    /// Not a number of tasks.
    #[error("`{0}` is not a number of tasks: write a whole number from 1 such as 5, or a share such as 10%")]
    Threshold(String),
    /// Not a cause of failure.
    #[error(
        "`{0}` is not a cause of failure: write an exit code from 1 to 255, a signal name, or one of {1}"
    )]
    Cause(String, &'static str),
    /// Not a glob.
    #[error("`{glob}` is not a file pattern: {reason}")]
    Glob {
        /// The text found.
        glob: String,
        /// What the glob parser says.
        reason: String,
    },
    /// Not a concurrency limit.
    #[error("`{0}` is not a number of processes: write a whole number from 1, or auto")]
    Limit(String),
    /// Not a placement.
    #[error("`{0}` is not a placement: write auto, none, node, core, or core:2 for two CPUs each")]
    Placement(String),
    /// Not a hash.
    #[error("`{0}` is not a SHA-256: write its 64 hexadecimal digits, as sha256sum prints them")]
    Sha256(String),
    /// Not a template.
    #[error(transparent)]
    Template(#[from] crate::plan::template::TemplateError),
    /// Neither text nor a number nor a truth value.
    #[error("expected text, found {0}")]
    Text(String),
}

/// The text that stands for a value in a message: strings as they are, all else as JSON.
pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Implements serde and schemars for a [`Scalar`].
macro_rules! scalar_traits {
    ($($type:ty),+ $(,)?) => {$(
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::config::scalar::Scalar::render(self).serialize(serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = ::serde_json::Value::deserialize(deserializer)?;
                $crate::config::scalar::Scalar::parse(&value).map_err(::serde::de::Error::custom)
            }
        }

        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                <$type as $crate::config::scalar::Scalar>::NAME.into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $crate::config::scalar::schema_of::<$type>()
            }
        }
    )+};
}
pub(crate) use scalar_traits;

/// The JSON Schema of a scalar, with its `format`.
pub(crate) fn schema_of<T: Scalar>() -> schemars::Schema {
    let mut schema = schemars::Schema::try_from(T::describe()).unwrap_or_default();
    schema.insert("format".to_owned(), Value::from(T::FORMAT));
    schema
}
