//! Opens a TUN device (Linux): the one call that has no safe form.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Bytes of `struct ifreq` on 64-bit Linux: a name of 16 and a union of 24, which begins with the flags.
const REQUEST_BYTES: usize = 40;
const NAME_BYTES: usize = 16;

/// `struct ifreq` of netdevice(7), aligned as its union is.
#[repr(C, align(8))]
struct Request([u8; REQUEST_BYTES]);

/// Creates the device `name`, which carries plain IP packets and lives as long as the file.
///
/// # Errors
/// The system's error; without CAP_NET_ADMIN it is a refusal.
pub(super) fn open(name: &str) -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    if name.len() >= NAME_BYTES {
        return Err(io::Error::other("the name of the device is too long"));
    }
    let mut request = Request([0; REQUEST_BYTES]);
    request.0[..name.len()].copy_from_slice(name.as_bytes());
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as u16;
    request.0[NAME_BYTES..NAME_BYTES + 2].copy_from_slice(&flags.to_ne_bytes());
    attach(&file, &mut request)?;
    Ok(file)
}

#[allow(unsafe_code, reason = "no crate of this workspace wraps TUNSETIFF")]
fn attach(file: &File, request: &mut Request) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call, and TUNSETIFF reads and writes one `struct ifreq`, which
    // `Request` has the size and alignment of; the kernel keeps no reference to it.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, std::ptr::from_mut(request)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
