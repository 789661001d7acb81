//! The names of the tables, in statements.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::error::StoreError;

/// What the names of tables start with, unless somebody says otherwise.
pub(crate) const PREFIX: &str = "quota_";

/// PostgreSQL's names have at most 63 bytes, and the prefix is the start of one.
const MAX_PREFIX_BYTES: usize = 32;
const MAX_SCHEMA_BYTES: usize = 63;

/// Where the tables are. The names consist of letters, digits and underscores, so that they can
/// stand in a statement.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    schema: Option<String>,
    prefix: String,
}

/// A statement that makes a table or an index.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) statement: SqlStr,
}

impl Tables {
    /// Checks the names.
    pub(crate) fn new(schema: Option<String>, prefix: String) -> Result<Self, StoreError> {
        let starts_well = |name: &str| !name.starts_with(|first: char| first.is_ascii_digit());
        let is_lower = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if prefix.len() > MAX_PREFIX_BYTES || !prefix.bytes().all(is_lower) || !starts_well(&prefix)
        {
            let reason =
                format!("prefix {prefix:?} is not up to 32 of a-z 0-9 _, a digit not first");
            return Err(StoreError::permanent("connect", reason));
        }
        let is_schema = |name: &String| {
            let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            (1..=MAX_SCHEMA_BYTES).contains(&name.len()) && name.bytes().all(is_byte)
        };
        if let Some(schema) = schema.as_ref().filter(|schema| !is_schema(schema)) {
            let reason = format!("schema {schema:?} is not 1 to 63 of A-Z a-z 0-9 _");
            return Err(StoreError::permanent("connect", reason));
        }
        Ok(Self { schema, prefix })
    }

    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Puts the tables' names where a statement says `{counter}`, `{hold}`, `{merged}` and
    /// `{last_window}`.
    pub(crate) fn name_in(&self, statement: &str) -> SqlStr {
        let schema = self.schema().map(|schema| format!("\"{schema}\".")).unwrap_or_default();
        let mut text = statement.to_owned();
        for table in ["counter", "hold", "merged", "last_window"] {
            let name = format!("{schema}{prefix}{table}", prefix = self.prefix);
            text = text.replace(&format!("{{{table}}}"), &name);
        }
        AssertSqlSafe(text).into_sql_str()
    }

    /// The definitions in a file, one by one, each of which ends with a line.
    #[cfg(feature = "postgres")]
    pub(crate) fn definitions(&self, definitions: &str) -> Vec<Definition> {
        let definitions = definitions.replace(PREFIX, &self.prefix);
        let definition = |statement: &str| {
            let (_, named) = statement.split_once("IF NOT EXISTS ")?;
            let name = named.split_whitespace().next()?.to_owned();
            let statement = AssertSqlSafe(statement.to_owned()).into_sql_str();
            Some(Definition { name, statement })
        };
        definitions.split(";\n").filter_map(definition).collect()
    }

    /// Puts the prefix into a file of definitions.
    #[cfg(feature = "sqlite")]
    pub(crate) fn define(&self, definitions: &str) -> SqlStr {
        AssertSqlSafe(definitions.replace(PREFIX, &self.prefix)).into_sql_str()
    }
}
