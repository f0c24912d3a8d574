//! Variables of OpenTelemetry: settings of the exporter, and what is wrong with them or has no effect here.

use std::num::NonZeroU64;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::config::ClientCertificate;

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Settings of the exporter.
#[derive(Debug)]
pub(super) struct ExportSettings {
    /// Name of a variable, and its value: the PEM file of authorities.
    pub(super) ca: Option<(String, String)>,
    /// Name of a variable, and the client certificate.
    pub(super) client_cert: Option<(String, ClientCertificate)>,
    /// Longest time of a request.
    pub(super) timeout: Duration,
    /// Time between batches.
    pub(super) delay: Duration,
    /// Most spans of a batch.
    pub(super) batch: usize,
}

/// Variables, each with its name and value, and messages about them.
struct Variables<F> {
    value_of: F,
    messages: Vec<String>,
}

impl ExportSettings {
    /// Reads the settings from variables with these values. A wrong value is as none, and has a message for the operator. No message has a value of
    /// a header field.
    pub(super) fn read(value_of: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut variables = Variables { value_of, messages: Vec::new() };
        variables.check_pairs(variables.otlp("HEADERS"), |name, value| {
            let value = percent_decode_str(value).decode_utf8_lossy();
            name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(&value).is_ok()
        });
        variables.check_pairs(variables.named("OTEL_RESOURCE_ATTRIBUTES"), |_, _| true);
        variables.check_sampler();
        variables.check_unused();
        let client_cert = match (variables.file("CLIENT_CERTIFICATE"), variables.file("CLIENT_KEY")) {
            (Some((name, cert)), Some((_, key))) => {
                Some((name, ClientCertificate { cert: cert.into(), key: key.into() }))
            }
            (Some((name, _)), None) | (None, Some((name, _))) => {
                variables.messages.push(format!(
                    "{name} has no effect: a client certificate needs both …_CLIENT_CERTIFICATE and …_CLIENT_KEY, as paths"
                ));
                None
            }
            (None, None) => None,
        };
        let batch = variables.number(variables.named("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), 512);
        let settings = Self {
            ca: variables.file("CERTIFICATE"),
            client_cert,
            timeout: Duration::from_millis(variables.number(variables.otlp("TIMEOUT"), 10_000)),
            delay: Duration::from_millis(variables.number(variables.named("OTEL_BSP_SCHEDULE_DELAY"), 5000)),
            batch: batch.try_into().unwrap_or(usize::MAX),
        };
        (settings, variables.messages)
    }
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// Returns a variable that is set; an empty one is not, as OpenTelemetry has it.
    fn named(&self, name: &str) -> Option<(String, String)> {
        (self.value_of)(name).filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value))
    }

    /// Returns the exporter's variable for traces, else the one for all signals.
    fn otlp(&self, name: &str) -> Option<(String, String)> {
        let starts = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"];
        starts.into_iter().find_map(|start| self.named(&format!("{start}{name}")))
    }

    /// Returns the path of a file. A text in its place may be a key, and is in no message.
    fn file(&mut self, name: &str) -> Option<(String, String)> {
        let (name, value) = self.otlp(name)?;
        if !value.contains("BEGIN ") {
            return Some((name, value));
        }
        self.messages.push(format!("{name} is a text of PEM and no path, and is not used: write it into a file"));
        None
    }

    fn tell(&mut self, (name, value): &(String, String), what: &str) {
        self.messages.push(format!("{name} is {value:?}, {what}"));
    }

    fn number(&mut self, variable: Option<(String, String)>, default: u64) -> u64 {
        let Some(variable) = variable else { return default };
        if let Ok(number) = variable.1.parse::<NonZeroU64>() {
            return number.get();
        }
        self.tell(&variable, &format!("and no whole number from 1: {default} is used; correct or unset it"));
        default
    }

    /// Tells of the entries of a list `name=value,…` that are left out, by their numbers: they may have secrets.
    fn check_pairs(&mut self, variable: Option<(String, String)>, is_valid: fn(&str, &str) -> bool) {
        let Some((name, list)) = variable else { return };
        let is_wrong = |entry: &str| {
            let pair = entry.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            !pair.is_some_and(|(name, value)| !name.is_empty() && !value.is_empty() && is_valid(name, value))
        };
        for (at, _) in list.split_terminator(',').enumerate().filter(|(_, entry)| is_wrong(entry)) {
            self.messages.push(format!("entry {} of {name} is not `name=value`, and is left out; correct it", at + 1));
        }
    }

    fn check_sampler(&mut self) {
        let ratio = self.named("OTEL_TRACES_SAMPLER_ARG");
        let sampler = self.named("OTEL_TRACES_SAMPLER");
        let takes_ratio = sampler.as_ref().is_some_and(|(_, name)| name.ends_with("traceidratio"));
        let is_ratio = |(_, text): &(String, String)| text.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
        match (&sampler, &ratio) {
            (Some(sampler), _) if !SAMPLERS.contains(&sampler.1.as_str()) => {
                let known = SAMPLERS.join(", ");
                self.tell(sampler, &format!("which is not known: parentbased_always_on is used; write one of {known}"));
            }
            (Some(sampler), ratio) if takes_ratio && !ratio.as_ref().is_some_and(is_ratio) => {
                self.tell(
                    sampler,
                    "and OTEL_TRACES_SAMPLER_ARG no number from 0 to 1: set the share of traces to export",
                );
            }
            (_, Some(ratio)) if !takes_ratio => self.tell(ratio, "and OTEL_TRACES_SAMPLER none that takes a ratio"),
            _ => {}
        }
    }

    fn check_unused(&mut self) {
        let none = &[][..];
        for (variable, usual, reason) in [
            (
                self.otlp("PROTOCOL"),
                &["http/protobuf"][..],
                "spans are exported as http/protobuf: name the collector's address for that",
            ),
            (self.otlp("COMPRESSION"), &["none"], "batches are not compressed"),
            (self.named("OTEL_TRACES_EXPORTER"), &["otlp"], "spans are exported by otlp alone"),
            (self.named("OTEL_PROPAGATORS"), &["tracecontext", "baggage"], "the context of a trace is W3C's alone"),
            (self.named("OTEL_BSP_MAX_QUEUE_SIZE"), none, "2048 spans may wait"),
            (self.named("OTEL_BSP_EXPORT_TIMEOUT"), none, "OTEL_EXPORTER_OTLP_TIMEOUT limits a request"),
            (self.named("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"), none, "values are exported whole"),
        ] {
            let is_unused = |(_, value): &(String, String)| value.split(',').any(|part| !usual.contains(&part.trim()));
            if let Some(variable) = variable.filter(is_unused) {
                self.tell(&variable, &format!("which has no effect: {reason}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (ExportSettings, Vec<String>) {
        ExportSettings::read(|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_wrong_value_and_each_variable_without_effect_has_one_message_with_its_name() {
        let wrong = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,s3cret"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a b=s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%0A"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a="),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "cert.pem"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "s3cret.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "BEGIN PRIVATE KEY\ns3cret"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_EXPORTER", "console,otlp"),
            ("OTEL_PROPAGATORS", "tracecontext,b3"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "9"),
        ];
        for (name, value) in wrong {
            let (settings, messages) = read(&[(name, value)]);
            let [message] = &messages[..] else { panic!("{name} {value}: {messages:?}") };
            assert!(message.contains(name) && !message.contains("s3cret"), "{message}");
            assert_eq!((settings.timeout.as_secs(), settings.delay.as_secs(), settings.batch), (10, 5, 512));
        }
        for ratio in ["", "2", "-1", "NaN", "half"] {
            let variables = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
            let (_, messages) = read(&variables);
            assert!(messages.len() == 1 && messages[0].contains("OTEL_TRACES_SAMPLER_ARG"), "{messages:?}");
        }
    }

    #[test]
    fn right_values_are_used_those_for_traces_before_those_for_all_signals() {
        let (settings, messages) = read(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "7"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", ""),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "cert.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=s%20ecret, y = z=1,"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
            ("OTEL_PROPAGATORS", "tracecontext,baggage"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1"),
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ]);
        assert_eq!(messages, [""; 0]);
        assert_eq!((settings.timeout.as_millis(), settings.delay.as_millis(), settings.batch), (7, 50, 8));
        assert_eq!(settings.ca, Some(("OTEL_EXPORTER_OTLP_CERTIFICATE".to_owned(), "ca.pem".to_owned())));
        let (_, cert) = settings.client_cert.unwrap();
        assert_eq!((cert.cert.to_str(), cert.key.to_str()), (Some("cert.pem"), Some("key.pem")));
    }
}
