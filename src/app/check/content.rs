//! What is sent while examining, and how what arrived differs from it.

/// Letters and digits without separators or line ends, different at every place, so that it shows what went astray.
pub fn letters(length: usize, salt: &str) -> Vec<u8> {
    (0..).flat_map(|number: u64| format!("{salt}{number:06}.").into_bytes()).take(length).collect()
}

/// Every byte value, in an order that is no text in any encoding.
pub fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(167) ^ (at >> 8)) as u8).collect()
}

/// `pattern` again and again.
pub fn repeated(pattern: &[u8], length: usize) -> Vec<u8> {
    pattern.iter().copied().cycle().take(length).collect()
}

/// How `found` differs from `expected`, which was sent in chunks of `chunk` bytes numbered from `first`; for people.
pub fn difference(expected: &[u8], found: &[u8], chunk: usize, name: impl Fn(usize) -> String) -> Option<String> {
    if expected == found {
        return None;
    }
    let lengths = match found.len() == expected.len() {
        true => format!("{} bytes, as were sent", found.len()),
        false => format!("{} bytes instead of {}", found.len(), expected.len()),
    };
    if found.is_empty() {
        return Some(format!("the file is empty instead of having {} bytes", expected.len()));
    }
    let chunks: Vec<&[u8]> = expected.chunks(chunk.max(1)).collect();
    for (index, one) in chunks.iter().enumerate().take(CHUNKS_LOOKED_AT) {
        let (before, behind) = (index * chunk, index * chunk + one.len());
        let rest = &expected[behind..];
        let is_twice = found.starts_with(&expected[..behind]) && found[behind..].starts_with(one);
        if is_twice
            && (rest.is_empty()
                || found.len() > expected.len()
                || found[behind + one.len()..].starts_with(&rest[..rest.len().min(1)]))
        {
            return Some(format!("{} is in the file twice ({lengths})", name(index)));
        }
        if !rest.is_empty() && found == [&expected[..before], rest].concat() {
            return Some(format!("{} is missing in the file ({lengths})", name(index)));
        }
    }
    if let Some(words) = misplaced(&chunks, found, chunk, &name) {
        return Some(format!("{words} ({lengths})"));
    }
    let place = expected.iter().zip(found).position(|(one, other)| one != other);
    Some(match place {
        None if found.len() < expected.len() => {
            let where_it_ends = name(found.len() / chunk.max(1));
            format!("the file ends too early, in {where_it_ends}: {lengths}")
        }
        None => format!("the file has too many bytes at its end: {lengths}"),
        Some(at) => format!(
            "the file differs from byte {at} on, in {}: {} came instead of {} ({lengths})",
            name(at / chunk.max(1)),
            excerpt(&found[at..]),
            excerpt(&expected[at..])
        ),
    })
}

/// Another chunk in the place of the first one that is not right.
fn misplaced(chunks: &[&[u8]], found: &[u8], chunk: usize, name: impl Fn(usize) -> String) -> Option<String> {
    let there: Vec<&[u8]> = found.chunks(chunk.max(1)).collect();
    let place = chunks.iter().zip(&there).position(|(one, other)| one != other)?;
    let other =
        chunks.iter().take(CHUNKS_LOOKED_AT).position(|one| one.len() >= TELLING && there[place].starts_with(one))?;
    Some(format!("{} is in the place of {}", name(other), name(place)))
}

fn excerpt(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes[..bytes.len().min(12)].escape_ascii())
}

/// So many bytes do not agree by accident.
const TELLING: usize = 16;

/// Chunks that are tried as the one that is there twice or not at all.
const CHUNKS_LOOKED_AT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_to_the_chunks_is_seen() {
        let expected = letters(25, "x");
        let told = |found: &[u8]| difference(&expected, found, 10, |index| format!("chunk {}", index + 1));
        assert_eq!(told(&expected), None);
        let twice = [&expected[..10], &expected[..10], &expected[10..]].concat();
        assert_eq!(told(&twice).unwrap(), "chunk 1 is in the file twice (35 bytes instead of 25)");
        let last_twice = [&expected[..], &expected[20..]].concat();
        assert!(told(&last_twice).unwrap().starts_with("chunk 3 is in the file twice"));
        let missing = [&expected[..10], &expected[20..]].concat();
        assert!(told(&missing).unwrap().starts_with("chunk 2 is missing"));
        assert!(told(&expected[..22]).unwrap().contains("ends too early, in chunk 3"));
        assert!(told(&[&expected[..], b"!!"].concat()).unwrap().contains("too many bytes"));
        let long = letters(250, "y");
        let swapped = [&long[..100], &long[200..250], &long[100..200]].concat();
        let told_of = difference(&long, &swapped, 100, |index| format!("chunk {}", index + 1)).unwrap();
        assert!(told_of.starts_with("chunk 3 is in the place of chunk 2"), "{told_of}");
        let mut other = expected.clone();
        other[12] = b'\n';
        assert!(told(&other).unwrap().contains("from byte 12 on, in chunk 2: \"\\n"), "{:?}", told(&other));
        assert!(told(b"").unwrap().contains("empty"));
    }

    #[test]
    fn contents_hold_what_they_are_for() {
        assert!(letters(5000, "a").iter().all(u8::is_ascii_graphic) && !letters(5000, "a").contains(&b'|'));
        let all: std::collections::BTreeSet<u8> = binary(1000).into_iter().collect();
        assert_eq!(all.len(), 256);
        assert!(std::str::from_utf8(&binary(1000)).is_err());
    }
}
