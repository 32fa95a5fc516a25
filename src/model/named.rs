//! Enums whose variants have names that clients, files or dashboards use.

/// Makes the enum, and for it `ALL` of its variants in order, `as_str` and `parse`, which takes exactly these names.
macro_rules! named_enum {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every one, in order.
            $visibility const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The name.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The one of exactly that name.
            $visibility fn parse(name: impl AsRef<[u8]>) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.as_str().as_bytes() == name.as_ref())
            }
        }
    };
}
pub(crate) use named_enum;
