//! Numbers as Perl writes and reads them.

/// The text of a float: Perl's `%g`, but with as many digits as it takes to read back the same number.
///
/// `scientific` is what `{:e}` gives for it, so that 32-bit floats keep their own shortest form.
pub(super) fn float_text(scientific: &str) -> String {
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

/// The 32-bit integer that a float is, if it is one. −0.0 is 0.
pub(super) fn whole(float: f64) -> Option<i32> {
    let integer = float as i32;
    (f64::from(integer) == float).then_some(integer)
}

/// A number in text, with the white space that Perl allows around it.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

/// An integer in text; a float that is whole is one, as far as floats are exact.
pub(super) fn parse_integer(text: &[u8]) -> Option<i128> {
    let text = str::from_utf8(text).ok()?.trim_ascii();
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    let float: f64 = text.parse().ok()?;
    (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i128)
}

#[cfg(test)]
mod tests {
    use super::{float_text, parse_float};

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
