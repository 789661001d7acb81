//! Directories of a test's own.

#[cfg(feature = "sqlite")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

/// A directory that is deleted when the test ends.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

#[cfg(feature = "sqlite")]
impl Directory {
    pub(crate) fn new() -> Self {
        Self(new_directory("tower-quota"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(feature = "sqlite")]
impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be deleted is the system's to clean up.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A new directory. Its path is short, as those of sockets have to be.
pub(crate) fn new_directory(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("{name}-{}-{number}", process::id()));
        match fs::create_dir(&path) {
            Ok(()) => return path,
            // Left behind by an earlier process of the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}
