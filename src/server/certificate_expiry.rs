//! End of a certificate's validity, read from its DER (RFC 5280 §4.1): a crate for X.509 would bring eight others for this one field.

use std::path::Path;
use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns the seconds until the first certificate of a PEM file expires, negative ones behind its end; none where there is none.
pub fn seconds_to_expiry(file: &Path) -> Option<f64> {
    // A pipe would have to be waited for.
    std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
    let certificate = CertificateDer::from_pem_file(file).ok()?;
    Some(seconds_until(not_after(&certificate)?))
}

/// Returns the seconds until a time, negative ones behind it.
pub(super) fn seconds_until(end: SystemTime) -> f64 {
    match end.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    }
}

/// Returns the end of a certificate's validity; none where the bytes are no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut fields, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    if element(fields)?.0 == VERSION {
        fields = element(fields)?.2;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, _, end) = element(validity)?;
    let (tag, time, _) = element(end)?;
    let text = std::str::from_utf8(time).ok()?;
    let text = match tag {
        // Two digits of the year, up to 2049 (RFC 5280 §4.1.2.5.1).
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().into())
}

/// Returns the tag and the content of the first element of DER, and the bytes behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_is_read_in_both_forms_and_from_nothing_else() {
        let mut count = 0;
        for (year, seconds) in [(2033, 1_988_150_400), (2049, 2_493_072_000), (2050, 2_524_608_000)] {
            let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
            assert_eq!(not_after(&der), Some(UNIX_EPOCH + Duration::from_secs(seconds)), "{year}");
            for length in 0..der.len() {
                assert_eq!(not_after(&der[..length]), None);
                count += 1;
            }
        }
        assert!(count > 600);
    }
}
