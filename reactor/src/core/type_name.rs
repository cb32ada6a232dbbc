//! Names of types, as the log shows them.

use std::any;

/// The name of a type, without the modules that it and its parameters are in: `Http<Files>`.
pub(crate) fn type_name<T: ?Sized>() -> String {
    without_modules(any::type_name::<T>())
}

fn without_modules(name: &str) -> String {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    // Each part is a path, and the character behind it.
    let parts = name.split_inclusive(|c| !is_path(c));
    parts.filter_map(|part| part.rsplit("::").next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_type_leaves_its_modules_out() {
        let cases = [
            ("hello::Hello", "Hello"),
            ("a::http::adapter::Http<b::Files>", "Http<Files>"),
            ("alloc::boxed::Box<dyn core::ops::FnOnce(&mut a::b::C)>", "Box<dyn FnOnce(&mut C)>"),
            ("(a::B, [u8; 4])", "(B, [u8; 4])"),
            ("a::run::{{closure}}", "{{closure}}"),
            ("u32", "u32"),
        ];
        for (name, short) in cases {
            assert_eq!(without_modules(name), short);
        }
        assert_eq!(type_name::<Vec<std::time::Duration>>(), "Vec<Duration>");
    }
}
