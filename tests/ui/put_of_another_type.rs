//! A wheel takes the records of its output filter, and no others.
use poe::filter::{Line, Raw};
use poe::wheel::{AnyReadWrite, ReadWrite};

fn text(wheel: &ReadWrite) -> Result<(), poe::Failure> {
    wheel.put("a line")?;
    wheel.put(17_u8)?;
    wheel.set_output_filter(Line::new())?;
    wheel.set_output_filter(Raw::new())?;
    Ok(())
}

fn anything(wheel: &AnyReadWrite) -> Result<(), poe::Failure> {
    wheel.put(17_u8)?;
    wheel.set_output_filter(Raw::new())?;
    Ok(())
}

fn main() {}
