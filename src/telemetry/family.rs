//! Families of samples in the text of an exposition.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;

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

/// Encodes a family of one histogram.
pub(super) fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    histogram: &Histogram,
) -> fmt::Result {
    histogram.encode(encoder.encode_descriptor(name, help, None, MetricType::Histogram)?)
}

/// Encodes a family of histograms, each with the value of a label.
pub(super) fn histograms<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    samples: impl IntoIterator<Item = (&'a String, &'a Histogram)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (value, histogram) in samples {
        histogram.encode(family.encode_family(&[(label, value.as_str())])?)?;
    }
    Ok(())
}
