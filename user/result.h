// SPDX-License-Identifier: Apache-2.0
// Result<T>: what the environment can cause to fail is returned, with context added at each hop; only main prints it.
// A broken invariant of our own is ALLOCTRAIL_CHECK, which aborts with file and line.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace alloctrail {

/// What kind of failure it was; decides the exit code (see exit_code()).
enum class ErrorKind {
  Failed,        ///< something on this run went wrong: exit 1
  Usage,         ///< the command line contradicts itself or the world: exit 2
  NotSupported,  ///< missing rights, or this kernel or target cannot be traced: exit 77
};

/// A failure as the user reads it: what failed, on what and why (`message`), and what to do next (`hint`, may be empty).
struct Error {
  ErrorKind kind = ErrorKind::Failed;
  std::string message;
  std::string hint;
  int os_error = 0;  ///< errno value behind it, 0 if none

  /// The same error as seen one hop further out: "context: message".
  [[nodiscard]] Error with(std::string_view context) && {
    message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
};

/// Process exit codes, part of the command-line interface.
enum ExitCode { kExitOk = 0, kExitFailed = 1, kExitUsage = 2, kExitLeakFound = 3, kExitDataLost = 4, kExitNotSupported = 77 };

[[nodiscard]] inline ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Usage: return kExitUsage;
    case ErrorKind::NotSupported: return kExitNotSupported;
    case ErrorKind::Failed: break;
  }
  return kExitFailed;
}

[[noreturn]] inline void broken_invariant(const char* what, const char* file, int line) {
  std::fprintf(stderr, "alloctrail: internal error: %s (%s:%d)\n", what, file, line);
  std::abort();
}
#define ALLOCTRAIL_CHECK(condition) \
  ((condition) ? void() : ::alloctrail::broken_invariant(#condition, __FILE__, __LINE__))

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & { return checked_error(*this); }
  const Error& error() const& { return checked_error(*this); }
  Error&& error() && { return std::move(checked_error(*this)); }

 private:
  T& value() {
    ALLOCTRAIL_CHECK(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    ALLOCTRAIL_CHECK(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  template <class Self>
  static auto& checked_error(Self& self) {
    ALLOCTRAIL_CHECK(self.state_.index() == 1);
    return *std::get_if<1>(&self.state_);
  }

  std::variant<T, Error> state_;
};

struct Unit {};
using Status = Result<Unit>;
inline Status ok() { return Unit{}; }

}  // namespace alloctrail
