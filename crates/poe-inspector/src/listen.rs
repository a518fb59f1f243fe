//! Where an inspector listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

/// Where to listen: a TCP address (`127.0.0.1:7669`, `localhost:0`), or a UNIX socket (`unix:/run/app/inspector.sock`).
///
/// The socket's file has mode 0600 before anybody can connect. A socket that is left over and that nobody listens on is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// An address with a port; 0 for a free one.
    Tcp(String),
    /// The path of a UNIX socket.
    Unix(PathBuf),
}

impl From<&str> for Endpoint {
    fn from(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Endpoint::Unix(path.into()),
            None => Endpoint::Tcp(text.to_owned()),
        }
    }
}

impl From<String> for Endpoint {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint::Tcp(address.to_string())
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Endpoint::Unix(path)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => f.write_str(address),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) web: Option<SocketAddr>,
    pub(crate) console: Option<SocketAddr>,
}

pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: Removed,
    },
}

/// Removes the socket's file at the end.
#[cfg(unix)]
pub(crate) struct Removed {
    path: PathBuf,
    /// Device and number: another inspector may have taken the path over.
    file: Option<(u64, u64)>,
}

#[cfg(unix)]
fn identity(path: &std::path::Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(unix)]
impl Drop for Removed {
    fn drop(&mut self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Binds; a TCP address that other machines can reach is refused without a token.
    pub(crate) async fn bind(endpoint: &Endpoint, has_token: bool) -> Result<Self, Refused> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
                let is_loopback = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
                if !has_token && !found.iter().all(is_loopback) {
                    return Err(Refused::Exposed);
                }
                Ok(Listener::Tcp(TcpListener::bind(&*found).await?))
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let socket = bind_unix(path)?;
                socket.set_nonblocking(true)?;
                Ok(Listener::Unix {
                    listener: UnixListener::from_std(socket)?,
                    _file: Removed {
                        file: identity(path),
                        path: path.clone(),
                    },
                })
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no UNIX sockets").into())
            }
        }
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Listener::Unix { .. } => None,
        }
    }
}

pub(crate) enum Refused {
    Io(io::Error),
    Exposed,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Io(error)
    }
}

/// The socket is made in a directory that only this user can enter, and moved to its place when it has its mode.
#[cfg(unix)]
fn bind_unix(path: &std::path::Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    if let Ok(found) = std::fs::symlink_metadata(path) {
        let in_use = || io::Error::from(io::ErrorKind::AddrInUse);
        if !found.file_type().is_socket() {
            return Err(in_use());
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            _ => return Err(in_use()),
        }
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    };
    // Short, because a socket's path may have about 100 bytes.
    let private = folder.join(format!(".{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&private)?;
    let made = private.join("s");
    let bound = UnixListener::bind(&made).and_then(|socket| {
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&made, path)?;
        Ok(socket)
    });
    let _ = std::fs::remove_file(&made);
    let _ = std::fs::remove_dir(&private);
    bound
}
