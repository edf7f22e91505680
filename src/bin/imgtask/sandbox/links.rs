//! Signed image links: `/p/img/{id}/{index}?exp={unix ms}&sig={24 hex digits}`, minted anew for every status answer.

use sha2::{Digest, Sha256};

/// The key of the signatures.
pub(super) struct Links {
    secret: [u8; 32],
    /// How long a link works, in milliseconds.
    life_ms: u64,
}

/// Why a link is refused, as the status of the empty answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// `exp`, `sig` or the index is missing or malformed.
    Malformed,
    /// The signature is wrong, or the time is over.
    Forbidden,
}

impl Links {
    pub(super) fn new(secret: [u8; 32], life_ms: u64) -> Self {
        Self { secret, life_ms }
    }

    /// A link that works from now for the usual time.
    pub(super) fn mint(&self, id: &str, index: usize, now_ms: u64) -> String {
        self.mint_until(id, index, now_ms.saturating_add(self.life_ms))
    }

    /// A link that works until a time, which may have passed.
    pub(super) fn mint_until(&self, id: &str, index: usize, exp_ms: u64) -> String {
        format!("/p/img/{id}/{index}?exp={exp_ms}&sig={}", self.sign(id, index, exp_ms))
    }

    /// Checks a link; returns the index.
    pub(super) fn check(
        &self,
        id: &str,
        index: &str,
        exp: Option<&str>,
        sig: Option<&str>,
        now_ms: u64,
    ) -> Result<usize, Refused> {
        let index = index.parse::<usize>().ok().filter(|index| *index <= 64).ok_or(Refused::Malformed)?;
        let exp_ms = exp.and_then(|exp| exp.parse::<u64>().ok()).ok_or(Refused::Malformed)?;
        let hex = |sig: &&str| sig.len() == 24 && sig.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sig = sig.filter(hex).ok_or(Refused::Malformed)?;
        if sig != self.sign(id, index, exp_ms) || exp_ms <= now_ms {
            return Err(Refused::Forbidden);
        }
        Ok(index)
    }

    /// HMAC-SHA-256 (RFC 2104), cut to twelve bytes.
    fn sign(&self, id: &str, index: usize, exp_ms: u64) -> String {
        let pad = |byte: u8| {
            let mut block = [byte; 64];
            block.iter_mut().zip(self.secret).for_each(|(padded, key)| *padded ^= key);
            block
        };
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(format!("{id}|{index}|{exp_ms}")).finalize();
        let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
        super::hex(&outer[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_standard_hmac_cut_to_twelve_bytes() {
        // Computed with another implementation: HMAC-SHA-256(key = 32 bytes of 0x0b, "img_x|0|1000").
        let links = Links::new([0x0b; 32], 1);
        assert_eq!(links.sign("img_x", 0, 1000), "ea86f3b06f6e797a2f67dda4");
    }

    #[test]
    fn a_link_is_refused_when_it_is_malformed_or_changed_or_old() {
        let links = Links::new([7; 32], 1000);
        let link = links.mint("img_a", 1, 5000);
        let (_, query) = link.split_once('?').unwrap();
        let mut members = query.split('&').map(|pair| pair.split_once('=').unwrap().1);
        let (exp, sig) = (members.next(), members.next());
        assert_eq!(links.check("img_a", "1", exp, sig, 5999), Ok(1));
        assert_eq!(links.check("img_a", "1", exp, sig, 6000), Err(Refused::Forbidden));
        assert_eq!(links.check("img_b", "1", exp, sig, 5000), Err(Refused::Forbidden));
        assert_eq!(links.check("img_a", "0", exp, sig, 5000), Err(Refused::Forbidden));
        assert_eq!(links.check("img_a", "1", Some("6001"), sig, 5000), Err(Refused::Forbidden));
        assert_eq!(links.check("img_a", "65", exp, sig, 5000), Err(Refused::Malformed));
        assert_eq!(links.check("img_a", "x", exp, sig, 5000), Err(Refused::Malformed));
        assert_eq!(links.check("img_a", "1", None, sig, 5000), Err(Refused::Malformed));
        assert_eq!(links.check("img_a", "1", exp, Some("0"), 5000), Err(Refused::Malformed));
    }
}
