//! The `Debug` of types whose parts are private, or have none: some fields, as a derive would write them.

/// Implements `Debug` with these fields: `debug_fields!([T] Wheel<T>, "Wheel", |this| { id: this.id(), .. });`
///
/// Without the `..` at the end the fields are all.
macro_rules! debug_fields {
    (@imp [$($generics:tt)*] $type:ty, $name:literal, $this:ident, [$($field:ident: $value:expr;)*], $finish:ident) => {
        #[automatically_derived]
        impl<$($generics)*> ::std::fmt::Debug for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let $this = self;
                f.debug_struct($name)$(.field(stringify!($field), &$value))*.$finish()
            }
        }
    };
    ([$($generics:tt)*] $type:ty, $name:literal, |$this:ident| { $($field:ident: $value:expr,)* .. }) => {
        $crate::debug::debug_fields!(@imp [$($generics)*] $type, $name, $this, [$($field: $value;)*], finish_non_exhaustive);
    };
    ([$($generics:tt)*] $type:ty, $name:literal, |$this:ident| { $($field:ident: $value:expr),+ $(,)? }) => {
        $crate::debug::debug_fields!(@imp [$($generics)*] $type, $name, $this, [$($field: $value;)*], finish);
    };
}
pub(crate) use debug_fields;
