//! The macro that turns a table of messages into an enum with a decoder and an encoder.
//!
//! A row is `TYPE Variant in set { field: Type; ... }`. The set says in which dialects the message exists, and
//! a field marked `in set else default` stands in the message only in those dialects; elsewhere it is decoded
//! as the default and not encoded. The fields are decoded and encoded in the order written.

macro_rules! messages {
    (
        $(#[$enum_doc:meta])*
        $Name:ident;
        $(
            $(#[$doc:meta])*
            $kind:ident $Variant:ident in $set:ident
            { $( $(#[$field_doc:meta])* $field:ident : $ty:ty $(, in $cond:ident else $default:expr)? ; )* }
        )*
    ) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name<'a> {
            $( $(#[$doc])* $Variant { $( $(#[$field_doc])* $field: $ty, )* }, )*
        }

        impl<'a> $Name<'a> {
            /// The message type, as in [`kind`](crate::kind).
            pub const fn kind(&self) -> u8 {
                match self { $( Self::$Variant { .. } => $crate::kind::$kind, )* }
            }

            /// Whether the message exists in a dialect.
            pub const fn exists_in(&self, dialect: $crate::Dialect) -> bool {
                match self { $( Self::$Variant { .. } => $crate::dialect::set::$set(dialect), )* }
            }

            /// Decodes one whole message, and gives its tag with it.
            ///
            /// # Errors
            /// When `bytes` are not exactly one message of this dialect.
            pub fn decode(
                dialect: $crate::Dialect,
                bytes: &'a [u8],
            ) -> Result<(u16, Self), $crate::WireError> {
                let (kind, tag, mut r) = $crate::wire::open_message(bytes)?;
                let message = match kind {
                    $( $crate::kind::$kind => {
                        $crate::wire::require($crate::dialect::set::$set(dialect), kind)?;
                        Self::$Variant { $( $field: decode_field!(r, dialect $(, $cond, $default)?), )* }
                    } )*
                    other => return Err($crate::WireError::Kind(other)),
                };
                r.end()?;
                Ok((tag, message))
            }

            /// Encodes the message at the front of `buf` and says how long it is.
            ///
            /// # Errors
            /// [`WireError::Room`](crate::WireError::Room) with the size needed when `buf` is too small;
            /// otherwise when the message does not exist in the dialect or a string or count does not fit.
            pub fn encode(
                &self,
                dialect: $crate::Dialect,
                tag: u16,
                buf: &mut [u8],
            ) -> Result<usize, $crate::WireError> {
                $crate::wire::require(self.exists_in(dialect), self.kind())?;
                let mut w = $crate::wire::Writer::new(buf);
                w.put(&0u32);
                w.put(&self.kind());
                w.put(&tag);
                match self {
                    $( Self::$Variant { $( $field, )* } => {
                        $( encode_field!(w, dialect, $field $(, $cond)?); )*
                    } )*
                }
                w.finish_message()
            }

            /// Size of the encoded message in bytes.
            ///
            /// # Errors
            /// As [`encode`](Self::encode), without the one about the buffer.
            pub fn size(&self, dialect: $crate::Dialect) -> Result<usize, $crate::WireError> {
                match self.encode(dialect, 0, &mut []) {
                    Err($crate::WireError::Room(n)) => Ok(n),
                    other => other,
                }
            }

            /// Appends the encoded message to `out`, and says how long it is.
            ///
            /// # Errors
            /// As [`size`](Self::size); `out` is as it was then.
            pub fn append(
                &self,
                dialect: $crate::Dialect,
                tag: u16,
                out: &mut alloc::vec::Vec<u8>,
            ) -> Result<usize, $crate::WireError> {
                let size = self.size(dialect)?;
                let start = out.len();
                out.resize(start.saturating_add(size), 0);
                self.encode(dialect, tag, out.get_mut(start..).unwrap_or_default())
            }

            /// The encoded message.
            ///
            /// # Errors
            /// As [`size`](Self::size).
            pub fn to_vec(
                &self,
                dialect: $crate::Dialect,
                tag: u16,
            ) -> Result<alloc::vec::Vec<u8>, $crate::WireError> {
                let mut out = alloc::vec::Vec::new();
                self.append(dialect, tag, &mut out)?;
                Ok(out)
            }
        }
    };
}

macro_rules! decode_field {
    ($r:ident, $d:ident) => {
        $r.get()?
    };
    ($r:ident, $d:ident, $cond:ident, $default:expr) => {
        if $crate::dialect::set::$cond($d) { $r.get()? } else { $default }
    };
}

macro_rules! encode_field {
    ($w:ident, $d:ident, $field:ident) => {
        $w.put($field)
    };
    ($w:ident, $d:ident, $field:ident, $cond:ident) => {
        if $crate::dialect::set::$cond($d) {
            $w.put($field)
        }
    };
}
