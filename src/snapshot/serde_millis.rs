//! Serialisation of moments as milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

pub(super) fn serialize<S: Serializer>(moment: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(from_moment(*moment))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    to_moment(i64::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("a moment that no clock reaches"))
}

fn from_moment(moment: SystemTime) -> i64 {
    let count = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    moment.duration_since(UNIX_EPOCH).map_or_else(|before| -count(before.duration()), count)
}

fn to_moment(millis: i64) -> Option<SystemTime> {
    let time = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { UNIX_EPOCH.checked_sub(time) } else { UNIX_EPOCH.checked_add(time) }
}

/// Serialises an optional moment.
pub(super) mod maybe {
    use super::{Deserialize, Deserializer, Error, Serializer, SystemTime, from_moment, to_moment};

    pub(in super::super) fn serialize<S: Serializer>(
        moment: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => serializer.serialize_some(&from_moment(*moment)),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let beyond = || D::Error::custom("a moment that no clock reaches");
        Option::<i64>::deserialize(deserializer)?.map(|millis| to_moment(millis).ok_or_else(beyond)).transpose()
    }
}
