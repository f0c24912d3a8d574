//! Tables of a configuration: one declaration says each key's name, the form of its value, and its default or the hint for
//! its absence; reading, writing, the check for unknown keys and the test of `config/unpage.toml` follow from it.

use super::key_names::KeyNames;
use super::toml_node::{TomlNode, TomlTable};
use super::toml_text::Pairs;

/// A table that makes a `T`, declared by [`table`](macro@super::table_schema::table).
pub(super) struct Schema<T: 'static> {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
    pub(super) read: fn(&TomlTable<'_>) -> Option<T>,
    pub(super) write: fn(&T, &mut Pairs),
}

pub(super) struct Form<T: 'static> {
    pub(super) read: fn(&TomlNode<'_>) -> Option<T>,
    pub(super) write: fn(&T) -> String,
}

/// Form of a value that is read and never written.
pub(super) struct ReadOnly<T: 'static>(pub(super) fn(&TomlNode<'_>) -> Option<T>);

impl<T> KeyNames for Schema<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keys(&self) -> Vec<&'static str> {
        self.keys.to_vec()
    }
}

impl<T> Schema<T> {
    pub(super) fn read(&'static self, node: &TomlNode<'_>) -> Option<T> {
        (self.read)(&node.table(self)?)
    }

    pub(super) fn write(&self, value: &T) -> String {
        let mut pairs = Pairs::default();
        (self.write)(value, &mut pairs);
        pairs.table()
    }
}

impl<T> Form<T> {
    pub(super) fn read(&self, node: &TomlNode<'_>) -> Option<T> {
        (self.read)(node)
    }

    pub(super) fn write(&self, value: &T) -> String {
        (self.write)(value)
    }
}

impl<T> ReadOnly<T> {
    pub(super) fn read(&self, node: &TomlNode<'_>) -> Option<T> {
        (self.0)(node)
    }
}

/// Declares a [`Schema`]: `"key" => field: FORM, RULE;` for each field of the struct or variant that it makes. Rules:
///
/// - `required("hint")`: the key must be there;
/// - `some`: the field is an `Option`;
/// - `usual`: the default is the form's own, and not written;
/// - `or(value)`: the default is this value, and written.
///
/// With `read` in front, the table is never written.
macro_rules! table {
    (read $(#[$doc:meta])* $vis:vis $static:ident $title:literal: $type:ty = $($make:ident)::+ { $($rows:tt)+ }) => {
        table! { @static [$(#[$doc])* $vis] $static $title $type, [$($rows)+] [$($make)::+ { $($rows)+ }], |_, _| {} }
    };
    ($(#[$doc:meta])* $vis:vis $static:ident $title:literal: $type:ty = $($make:ident)::+ { $($rows:tt)+ }) => {
        table! { @static [$(#[$doc])* $vis] $static $title $type, [$($rows)+] [$($make)::+ { $($rows)+ }],
            |value, pairs| table!(@write value pairs $($make)::+ { $($rows)+ }) }
    };
    (@static [$($head:tt)*] $static:ident $title:literal $type:ty,
        [$($key:literal => $field:ident: $form:expr, $rule:ident $(($argument:expr))?;)+] [$($made:tt)+], $write:expr) => {
        $($head)* static $static: Schema<$type> = Schema {
            name: $title,
            keys: &[$($key),+],
            read: |table| table!(@read table $($made)+),
            write: $write,
        };
    };
    (@read $table:ident $($make:ident)::+ {
        $($key:literal => $field:ident: $form:expr, $rule:ident $(($argument:expr))?;)+
    }) => {{
        $(let $field = rule!(read $rule $table $key, $form $(, $argument)?);)+
        Some($($make)::+ { $($field: rule!(take $rule $field)),+ })
    }};
    (@write $value:ident $pairs:ident $($make:ident)::+ {
        $($key:literal => $field:ident: $form:expr, $rule:ident $(($argument:expr))?;)+
    }) => {
        match $value {
            $($make)::+ { $($field),+ } => {
                $(rule!(write $rule $pairs $key, $form, $field);)+
            }
            // Another variant of an enum has another table.
            #[allow(unreachable_patterns, reason = "a struct has no other variant")]
            _ => {}
        }
    };
}

/// Parts of [`table`](macro@super::table_schema::table) that depend on a key's rule.
macro_rules! rule {
    (read required $table:ident $key:literal, $form:expr, $hint:expr) => {
        $table.must($key, $hint, |node| $form.read(node))
    };
    (read some $table:ident $key:literal, $form:expr) => {
        $table.maybe($key, |node| $form.read(node))
    };
    (read usual $table:ident $key:literal, $form:expr) => {
        $table.or($key, $form.usual(), |node| $form.read(node))
    };
    (read or $table:ident $key:literal, $form:expr, $default:expr) => {
        $table.or($key, $default, |node| $form.read(node))
    };
    (take required $field:ident) => {
        $field?
    };
    (take $rule:ident $field:ident) => {
        $field
    };
    (write some $pairs:ident $key:literal, $form:expr, $field:ident) => {
        if let Some(value) = $field {
            $pairs.put($key, $form.write(value));
        }
    };
    (write usual $pairs:ident $key:literal, $form:expr, $field:ident) => {
        if *$field != $form.usual() {
            $pairs.put($key, $form.write($field));
        }
    };
    (write $rule:ident $pairs:ident $key:literal, $form:expr, $field:ident) => {
        $pairs.put($key, $form.write($field))
    };
}

pub(super) use {rule, table};
