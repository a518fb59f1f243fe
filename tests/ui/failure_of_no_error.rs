//! `?` in a handler takes every error, boxed errors, `&str` and `String`, and nothing that is no error.
use poe::Failure;

fn anyhow(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    error.into()
}

fn texts() -> Result<(), Failure> {
    Err("a text")?;
    Err(String::from("a text"))?;
    Err(std::io::Error::other("an error"))?;
    Err(poe::Failure::msg("a failure"))
}

struct Code(u32);

fn none() -> Result<(), Failure> {
    Err(Code(3))?;
    Ok(())
}

fn main() {}
