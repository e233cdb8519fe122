//! The suffix arrays of libsais, behind safe functions.
#![expect(
    unsafe_code,
    reason = "calls into a C library; the lengths it is told are those of the slices it gets"
)]

use libsais_sys::libsais::{libsais, libsais_int};

/// The starts of the suffixes of `text`, in their order.
pub(super) fn sort_bytes(text: &[u8], starts: &mut [i32]) {
    assert!(text.len() == starts.len() && i32::try_from(text.len()).is_ok());
    // SAFETY: both have `len` elements; the library reads the first, writes the second, and is given no extra space (0)
    // and no table of frequencies (null).
    let code = unsafe { libsais(text.as_ptr(), starts.as_mut_ptr(), text.len() as i32, 0, std::ptr::null_mut()) };
    // It fails only without memory for its buckets.
    assert_eq!(code, 0, "libsais: out of memory");
}

/// The same for `names`, each less than `alphabet`. The library changes them meanwhile and puts them back.
pub(super) fn sort_names(names: &mut [u32], alphabet: u32, starts: &mut [u32]) {
    assert!(names.len() == starts.len() && i32::try_from(names.len()).is_ok() && i32::try_from(alphabet).is_ok());
    // A name outside would be an index outside of the library's buckets.
    assert!(names.iter().all(|&name| name < alphabet));
    let names: &mut [i32] = bytemuck::must_cast_slice_mut(names);
    let starts: &mut [i32] = bytemuck::must_cast_slice_mut(starts);
    // SAFETY: both have `len` elements, no name is outside of the alphabet, and there is no extra space (0).
    let code = unsafe { libsais_int(names.as_mut_ptr(), starts.as_mut_ptr(), names.len() as i32, alphabet as i32, 0) };
    assert_eq!(code, 0, "libsais: out of memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<T: Ord>(text: &[T]) -> Vec<u32> {
        let mut starts: Vec<u32> = (0..text.len() as u32).collect();
        starts.sort_by_key(|&start| &text[start as usize..]);
        starts
    }

    #[test]
    fn suffixes_are_sorted_and_names_stay() {
        for (len, alphabet) in [(1, 1), (2, 1), (2, 2), (300, 1), (300, 2), (500, 3), (2000, 700)] {
            let mut state = 7u32;
            let mut names: Vec<u32> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16) % alphabet
                })
                .collect();
            let before = names.clone();
            let mut starts = vec![0; len];
            sort_names(&mut names, alphabet, &mut starts);
            assert_eq!((&names, starts), (&before, sorted(&before)));

            let text: Vec<u8> = names.iter().map(|&name| name as u8).collect();
            let mut starts = vec![0; len];
            sort_bytes(&text, &mut starts);
            assert!(starts.iter().map(|&start| start as u32).eq(sorted(&text)));
        }
    }

    #[test]
    #[should_panic(expected = "name < alphabet")]
    fn a_name_outside_of_the_alphabet_never_reaches_the_library() {
        sort_names(&mut [0, 5], 5, &mut [0; 2]);
    }
}
