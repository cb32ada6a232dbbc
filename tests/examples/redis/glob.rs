//! Patterns.

use super::example::glob::matches;

#[test]
fn patterns_match_as_in_a_shell() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("abc", "abc", true),
        ("abc", "abd", false),
        ("*", "", true),
        ("a*c", "abcbc", true),
        ("a*c", "abcb", false),
        ("*b*", "abc", true),
        ("a**", "a", true),
        ("a?c", "abc", true),
        ("a?", "a", false),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("[a-c]", "b", true),
        ("[c-a]", "b", true),
        ("[a-c]", "d", false),
        ("[\\]]", "]", true),
        ("[a", "a", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("news.*", "news.art", true),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }
    let (pattern, text) = ("*a".repeat(1000) + "b", "a".repeat(20_000));
    assert!(!matches(pattern.as_bytes(), text.as_bytes()));
}
