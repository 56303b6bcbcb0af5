//! Unix sockets by path or abstract name. A path that exists gives way only if it is a socket nobody listens on.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixListener as StdUnixListener};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The longest path or abstract name, in bytes: `sun_path` less one (unix(7)).
pub(super) const PATH_MAX_BYTES: usize = 107;

/// Why a unix socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnixSocketError {
    #[error("the path has {0} bytes, at most {PATH_MAX_BYTES} are possible")]
    TooLong(usize),
    #[error("cannot create the directory {path}: {source}", path = .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the path exists and is not a socket")]
    NotASocket,
    #[error("another process listens there")]
    InUse,
    #[error("cannot inspect the path: {0}")]
    Inspect(io::Error),
    #[error("cannot remove the stale socket: {0}")]
    RemoveStale(io::Error),
    #[error("cannot bind: {0}")]
    Bind(io::Error),
}

/// A bound unix socket. Dropped, it removes its path, if that is still its own.
#[derive(Debug)]
pub(super) struct UnixSocket {
    pub(super) listener: UnixListener,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// Returns the abstract name that `@name` means.
pub(super) fn abstract_name(path: &Path) -> Option<&[u8]> {
    path.as_os_str().as_bytes().strip_prefix(b"@")
}

impl UnixSocket {
    /// Binds `path`, making its parent directories.
    pub(super) fn bind(path: &Path) -> Result<Self, UnixSocketError> {
        let length = path.as_os_str().len();
        if length > PATH_MAX_BYTES {
            return Err(UnixSocketError::TooLong(length));
        }
        let (listener, file) = match abstract_name(path) {
            Some(name) => (bind_abstract(name)?, None),
            None => bind_path(path).map(|(listener, file)| (listener, Some(file)))?,
        };
        listener.set_nonblocking(true).map_err(UnixSocketError::Bind)?;
        let listener = UnixListener::from_std(listener).map_err(UnixSocketError::Bind)?;
        Ok(Self { listener, _file: file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.device_and_inode) {
            // Nothing is left to be done if it cannot be removed: the next bind finds a stale socket.
            fs::remove_file(&self.path).ok();
        }
    }
}

fn bind_abstract(name: &[u8]) -> Result<StdUnixListener, UnixSocketError> {
    SocketAddr::from_abstract_name(name).and_then(|address| StdUnixListener::bind_addr(&address)).map_err(|error| {
        if error.kind() == ErrorKind::AddrInUse { UnixSocketError::InUse } else { UnixSocketError::Bind(error) }
    })
}

fn bind_path(path: &Path) -> Result<(StdUnixListener, SocketFile), UnixSocketError> {
    if let Some(parent) = path.parent().filter(|parent| *parent != OsStr::new("")) {
        let failed = |source| UnixSocketError::Directory { path: parent.to_owned(), source };
        fs::create_dir_all(parent).map_err(failed)?;
    }
    make_room(path)?;
    let listener = StdUnixListener::bind(path).map_err(UnixSocketError::Bind)?;
    let device_and_inode = identity(path).map_err(UnixSocketError::Inspect)?;
    Ok((listener, SocketFile { path: path.to_owned(), device_and_inode }))
}

fn make_room(path: &Path) -> Result<(), UnixSocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(UnixSocketError::Inspect(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(UnixSocketError::NotASocket),
        Ok(_) => {}
    }
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .and_then(|socket| socket.connect(&socket2::SockAddr::unix(path)?));
    match probe {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(UnixSocketError::RemoveStale)
        }
        // A full backlog is a listener too; a socket of another type cannot be judged and is left alone.
        _ => Err(UnixSocketError::InUse),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream as StdUnixStream;

    use super::*;

    #[tokio::test]
    async fn directories_are_made_and_the_socket_is_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/app.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        StdUnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn fault_81_a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = UnixSocket::bind(&path).unwrap();
        StdUnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let _other = StdUnixListener::bind(&path).unwrap();
        assert!(matches!(UnixSocket::bind(&path), Err(UnixSocketError::InUse)));
        StdUnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn fault_81_regular_files_directories_and_symlinks_are_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [file.as_path(), link.as_path(), directory.path()] {
            assert!(matches!(UnixSocket::bind(path), Err(UnixSocketError::NotASocket)));
        }
        assert_eq!(fs::read(&link).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[tokio::test]
    async fn a_path_that_was_taken_over_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        // Moved, not removed: a freed inode number could come again.
        fs::rename(&path, directory.path().join("moved.sock")).unwrap();
        fs::write(&path, "another").unwrap();
        drop(socket);
        assert_eq!(fs::read(&path).unwrap(), b"another");
    }

    #[tokio::test]
    async fn an_abstract_name_is_bound_and_guarded() {
        let name = format!("@wovenet-test-{}-{}", std::process::id(), rand::random::<u64>());
        let _socket = UnixSocket::bind(Path::new(&name)).unwrap();
        assert!(matches!(UnixSocket::bind(Path::new(&name)), Err(UnixSocketError::InUse)));
    }

    #[tokio::test]
    async fn a_path_that_does_not_fit_is_refused() {
        let path = "x".repeat(PATH_MAX_BYTES + 1);
        assert!(matches!(UnixSocket::bind(Path::new(&path)), Err(UnixSocketError::TooLong(108))));
    }
}
