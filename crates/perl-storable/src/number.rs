//! Numbers as Perl writes and reads them.

/// The text of a float in the layout of Perl's `%g`, with the digits of `scientific`.
///
/// That is what `{:e}` gives: as many digits as it takes to read back the same number, of 32 or of 64 bits.
pub(crate) fn float_text(scientific: &str) -> String {
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        // Only `inf`, `-inf` and `NaN` have no exponent.
        return match scientific {
            "inf" => "Inf",
            "-inf" => "-Inf",
            _ => "NaN",
        }
        .to_owned();
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..15).contains(&exponent) {
        let side = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{side}{:02}", exponent.unsigned_abs());
    }
    let digits = mantissa.replace('.', "");
    if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

/// The text that Perl prints for a float: 15 digits, without zeros at the end.
pub(crate) fn printed(float: f64) -> String {
    let text = format!("{float:.14e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            float_text(&format!("{mantissa}e{exponent}"))
        }
        None => float_text(&text),
    }
}

/// The text that an image has for a float: an integer if it is one of 32 bits, else the shortest that reads back exactly.
pub(crate) fn written(float: f64) -> String {
    match whole(float) {
        Some(integer) => integer.to_string(),
        None => float_text(&format!("{float:e}")),
    }
}

/// The 32-bit integer that a float equals, if any. −0.0 is 0.
pub(crate) fn whole(float: f64) -> Option<i32> {
    let integer = float as i32;
    (f64::from(integer) == float).then_some(integer)
}

/// The number that a text says, with the white space that Perl allows around it.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

/// The integer that a text says; a whole float counts, as far as floats are exact.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i128> {
    let text = str::from_utf8(text).ok()?.trim_ascii();
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    integral(text.parse().ok()?)
}

/// The integer that a float equals, as far as floats are exact.
pub(crate) fn integral(float: f64) -> Option<i128> {
    (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i128)
}

#[cfg(test)]
mod tests {
    use super::{float_text, parse_float, printed};

    #[test]
    fn floats_are_printed_with_fifteen_digits() {
        for (float, expected) in [
            (0.1 + 0.2, "0.3"),
            (1.0 / 3.0, "0.333333333333333"),
            (1e15, "1e+15"),
            (123_456_789_012_345.6, "123456789012346"),
            (1e-5, "1e-05"),
            (100.0, "100"),
            (f64::INFINITY, "Inf"),
        ] {
            assert_eq!(printed(float), expected);
        }
    }

    #[test]
    fn floats_look_as_perl_prints_them() {
        let text = |float: f64| float_text(&format!("{float:e}"));
        let cases = [
            (1.5, "1.5"),
            (0.1, "0.1"),
            (1e100, "1e+100"),
            (1e20, "1e+20"),
            (-1.5e-7, "-1.5e-07"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (123456.75, "123456.75"),
            (4294967296.0, "4294967296"),
            (1e15, "1e+15"),
            (f64::INFINITY, "Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (float, expected) in cases {
            assert_eq!(text(float), expected);
        }
        assert_eq!(parse_float(b"-1.5e-07"), Some(-1.5e-7));
        assert_eq!(parse_float(b"-Inf"), Some(f64::NEG_INFINITY));
    }
}
