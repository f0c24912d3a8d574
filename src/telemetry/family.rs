//! One family of samples in the text of an exposition.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;

/// Encodes a family. A counter is encoded like a gauge, because the encoder of counters would append a second `_total`.
pub(super) fn family<T: EncodeGaugeValue, const LABELS: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    kind: MetricType,
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = ([(&'static str, String); LABELS], T)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        if LABELS == 0 {
            family.encode_gauge(&value)?;
        } else {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}
