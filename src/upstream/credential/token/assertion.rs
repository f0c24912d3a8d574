//! A signed assertion (RFC 7515, RFC 7519, RFC 7523), made for one request.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use crate::config::{Assertion, SigningAlgorithm};

/// Returns the assertion, signed with this key in PEM, or the reason why it can't be.
pub(super) fn signed(assertion: &Assertion, key: &str, now: SystemTime) -> Result<String, String> {
    let random = SystemRandom::new();
    let mut id = [0; 16];
    random.fill(&mut id).map_err(|_| "no random number from the system".to_owned())?;
    let algorithm = match assertion.algorithm {
        SigningAlgorithm::Rs256 => "RS256",
        SigningAlgorithm::Es256 => "ES256",
    };
    let mut header = json!({ "alg": algorithm, "typ": "JWT" });
    if let Some(key_id) = &assertion.key_id {
        header["kid"] = key_id.as_str().into();
    }
    let issued = now.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?.as_secs();
    let mut claims: Map<String, Value> =
        assertion.claims.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    claims.insert("iat".to_owned(), issued.into());
    claims.insert("exp".to_owned(), (issued + assertion.lifetime.as_secs()).into());
    claims.insert("jti".to_owned(), BASE64_URL_SAFE_NO_PAD.encode(id).into());
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims.into()));
    let signature = signature(assertion.algorithm, key, text.as_bytes(), &random)?;
    Ok(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn signature(algorithm: SigningAlgorithm, key: &str, text: &[u8], random: &SystemRandom) -> Result<Vec<u8>, String> {
    let bad = |why: String| format!("the key of the assertion can't be used: {why}");
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| bad("it is no private key in PEM".to_owned()))?;
    match (algorithm, &key) {
        (SigningAlgorithm::Rs256, PrivateKeyDer::Pkcs8(_) | PrivateKeyDer::Pkcs1(_)) => {
            let pair = match &key {
                PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
                key => RsaKeyPair::from_der(key.secret_der()),
            };
            let pair = pair.map_err(|why| bad(format!("RS256 wants an RSA key: {why}")))?;
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, random, text, &mut signature)
                .map_err(|_| bad("it does not sign".to_owned()))?;
            Ok(signature)
        }
        (SigningAlgorithm::Es256, PrivateKeyDer::Pkcs8(key)) => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), random)
                .map_err(|why| bad(format!("ES256 wants a key of the curve P-256: {why}")))?;
            let signed = pair.sign(random, text).map_err(|_| bad("it does not sign".to_owned()))?;
            Ok(signed.as_ref().to_vec())
        }
        _ => Err(bad("write it as PKCS #8: openssl pkcs8 -topk8 -nocrypt".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{KeyPair, PublicKeyData};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;
    use crate::config::Secret;

    #[test]
    fn an_assertion_has_the_claims_and_a_signature_that_holds() {
        let pair = KeyPair::generate().unwrap();
        let assertion = Assertion {
            key: Secret::new(pair.serialize_pem()),
            algorithm: SigningAlgorithm::Es256,
            key_id: Some("k1".to_owned()),
            claims: vec![("iss".to_owned(), "me".to_owned()), ("aud".to_owned(), "https://login".to_owned())],
            lifetime: Duration::from_secs(300),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let text = signed(&assertion, assertion.key.expose(), now).unwrap();
        let parts: Vec<&str> = text.split('.').collect();
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)).unwrap();
        assert_eq!(json(parts[0]), json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
        let claims = json(parts[1]);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("me"), &json!("https://login")));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1000), &json!(1300)));
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.der_bytes());
        public.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &decode(parts[2])).unwrap();
        let again = signed(&assertion, assertion.key.expose(), now).unwrap();
        assert_ne!(json(again.split('.').nth(1).unwrap())["jti"], claims["jti"]);
        for (algorithm, key) in
            [(SigningAlgorithm::Rs256, assertion.key.expose()), (SigningAlgorithm::Es256, "hunter2")]
        {
            let why = signed(&Assertion { algorithm, ..assertion.clone() }, key, now).unwrap_err();
            assert!(why.starts_with("the key of the assertion can't be used") && !why.contains("hunter2"), "{why}");
        }
    }
}
