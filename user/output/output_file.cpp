// SPDX-License-Identifier: Apache-2.0
#include "user/output/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "user/handles.h"

namespace alloctrail {
namespace {

constexpr int kNameTries = 16;

Error failure(const std::string& what, int error, std::string hint) {
  return Error{ErrorKind::Failed, fmt::format("{}: {}", what, std::strerror(error)), std::move(hint), error};
}

bool is_full(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

// 0 or an errno value.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd ready{fd, POLLOUT, 0};
      if (::poll(&ready, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// Standard output or a device: somebody else's descriptor, where nothing can be taken back.
class DescriptorSink final : public Sink {
 public:
  DescriptorSink(int fd, UniqueFd owned, std::string name)
      : fd_(fd), owned_(std::move(owned)), name_(std::move(name)) {}

  Status write(std::string_view text) override {
    const int error = write_all(fd_, text);
    if (error == 0) return ok();
    if (error == EBADF)
      return Error{ErrorKind::Failed, name_ + " is closed", "open it, or name a file with -o FILE", error};
    return failure("cannot write to " + name_, error,
                   is_full(error) ? "free some space, or name another file with -o FILE" : "");
  }
  Status finish() override { return ok(); }

 private:
  int fd_;
  UniqueFd owned_;
  std::string name_;
};

struct PathParts {
  std::string directory;
  std::string name;
};

PathParts split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

std::string random_name() {
  uint64_t number = 0;
  // Without randomness names may collide, which O_EXCL notices.
  if (::getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0) number = static_cast<uint64_t>(::getpid());
  return fmt::format(".alloctrail-{:016x}.tmp", number);
}

// A new file under a temporary name in the target's directory, renamed to its name by publish().
class NewFile {
 public:
  static Result<NewFile> create(const std::string& path, UniqueFd directory, std::string name) {
    for (int i = 0; i < kNameTries; ++i) {
      std::string temporary = random_name();
      UniqueFd fd(
          ::openat(directory.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (fd) return NewFile(path, std::move(directory), std::move(name), std::move(temporary), std::move(fd));
      if (errno != EEXIST) break;
    }
    const int error = errno;
    return failure(fmt::format("cannot create a file in the directory of '{}'", path), error,
                   "choose a directory that can be written to with -o FILE");
  }
  NewFile(NewFile&&) = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (directory_ && !published_) ::unlinkat(directory_.get(), temporary_.c_str(), 0);
  }

  int write(std::string_view text) {
    const int error = write_all(fd_.get(), text);
    if (error == 0) {
      length_ += static_cast<off_t>(text.size());
      return 0;
    }
    // Takes back a part of `text` that was written; if that fails too, the first error is the one to tell.
    if (::ftruncate(fd_.get(), length_) == 0) ::lseek(fd_.get(), length_, SEEK_SET);
    return error;
  }

  Status sync() {
    if (::fsync(fd_.get()) != 0) return lost(errno);
    return ok();
  }

  Status publish() {
    if (::renameat(directory_.get(), temporary_.c_str(), directory_.get(), name_.c_str()) != 0) return lost(errno);
    published_ = true;
    // Not every file system can sync a directory.
    if (::fsync(directory_.get()) != 0 && errno != EINVAL && errno != EROFS) {
      return failure(fmt::format("'{}' was written, but its directory could not be synced", path_), errno, "");
    }
    return ok();
  }

  Status close() {
    if (::close(fd_.release()) != 0) return lost(errno);
    return ok();
  }

  // The report did not get there.
  Error lost(int error) const {
    return failure(fmt::format("cannot write '{}'", path_), error,
                   (is_full(error) ? "free some space; " : "") + fate());
  }

 private:
  NewFile(std::string path, UniqueFd directory, std::string name, std::string temporary, UniqueFd fd)
      : path_(std::move(path)),
        directory_(std::move(directory)),
        name_(std::move(name)),
        temporary_(std::move(temporary)),
        fd_(std::move(fd)) {}

  std::string fate() const {
    return published_ ? fmt::format("'{}' holds what was written before", path_)
                      : fmt::format("the report was not written, '{}' is unchanged", path_);
  }

  std::string path_;
  UniqueFd directory_;
  std::string name_;
  std::string temporary_;
  UniqueFd fd_;
  off_t length_ = 0;
  bool published_ = false;
};

class FileSink final : public Sink {
 public:
  FileSink(NewFile file, Delivery delivery) : file_(std::move(file)), delivery_(delivery) {}

  Status write(std::string_view text) override {
    const int error = file_.write(text);
    if (error != 0) return file_.lost(error);
    return ok();
  }

  Status finish() override {
    if (Status synced = file_.sync(); !synced) return synced;
    if (Status closed = file_.close(); !closed) return closed;
    if (delivery_ == Delivery::Whole) return file_.publish();
    return ok();
  }

 private:
  NewFile file_;
  Delivery delivery_;
};

Error refused(const std::string& path, const char* what) {
  return Error{ErrorKind::Failed, fmt::format("'{}' is {}: not written to", path, what),
               "name a regular file or one that does not exist yet"};
}

const char* kind_of(mode_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  return "not a regular file";
}

Result<std::unique_ptr<Sink>> open_device(const std::string& path, int directory, const std::string& name) {
  UniqueFd fd(::openat(directory, name.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY));
  if (!fd) return failure(fmt::format("cannot open '{}'", path), errno, "");
  const int number = fd.get();
  return std::unique_ptr<Sink>(std::make_unique<DescriptorSink>(number, std::move(fd), "'" + path + "'"));
}

Result<std::unique_ptr<Sink>> open_file(const std::string& path, Delivery delivery) {
  const PathParts parts = split(path);
  UniqueFd directory(::open(parts.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) {
    return failure(fmt::format("cannot open the directory of '{}'", path), errno,
                   "create it first, or choose another -o FILE");
  }
  if (parts.name.empty() || parts.name == "." || parts.name == "..") return refused(path, "a directory");
  struct stat existing {};
  if (::fstatat(directory.get(), parts.name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISCHR(existing.st_mode)) return open_device(path, directory.get(), parts.name);
    if (!S_ISREG(existing.st_mode)) return refused(path, kind_of(existing.st_mode));
  }
  Result<NewFile> file = NewFile::create(path, std::move(directory), parts.name);
  if (!file) return std::move(file).error();
  if (delivery == Delivery::Stream) {
    if (Status published = file->publish(); !published) return std::move(published).error();
  }
  return std::unique_ptr<Sink>(std::make_unique<FileSink>(*std::move(file), delivery));
}

}  // namespace

Result<std::unique_ptr<Sink>> open_sink(const std::optional<std::string>& path, Delivery delivery) {
  if (path && *path != "-") return open_file(*path, delivery);
  if (::fcntl(STDOUT_FILENO, F_GETFD) < 0 || (::fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    return Error{ErrorKind::Failed, "standard output is closed", "open it, or name a file with -o FILE", EBADF};
  }
  return std::unique_ptr<Sink>(std::make_unique<DescriptorSink>(STDOUT_FILENO, UniqueFd(), "standard output"));
}

void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free descriptor is this one; the wrong direction makes its use an error.
    const int occupied = ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (occupied >= 0 && occupied != fd) ::close(occupied);
  }
}

}  // namespace alloctrail
