//! A part of a few slices that follow each other.

/// The part of some slices from `skip` on, `length` bytes long.
pub(super) fn cut<'a>(slices: &[&'a [u8]], mut skip: u64, mut length: u64) -> Vec<&'a [u8]> {
    let mut part = Vec::new();
    for slice in slices {
        let start = usize::try_from(skip).unwrap_or(usize::MAX).min(slice.len());
        let rest = slice.get(start..).unwrap_or_default();
        let end = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        skip -= start as u64;
        length -= end as u64;
        part.extend(rest.get(..end).filter(|bytes| !bytes.is_empty()));
        if length == 0 {
            break;
        }
    }
    part
}
