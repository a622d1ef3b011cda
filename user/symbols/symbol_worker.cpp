// SPDX-License-Identifier: Apache-2.0
// SymbolWorker: the worker is this program itself, started anew, so that it shares none of our memory. It gives up its
// rights by itself before it is given a file.
#include "user/symbols/symbol_worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "user/symbols/packed_frames.h"
#include "user/symbols/symbol_server.h"

extern char** environ;

namespace alloctrail {
namespace {

constexpr int kLookMs = 50;  // how often a working worker's time is looked at
constexpr size_t kMaxProblemBytes = 1024;
constexpr size_t kMaxNameBytes = 4096;
constexpr auto kRetireAfter = std::chrono::minutes(5);  // of processor time; its own limit is twice that

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kShowsErrors = true;
#else
constexpr bool kShowsErrors = false;  // what libraries print when a file ends them
#endif

class SpawnSettings {
 public:
  explicit SpawnSettings(int socket) {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    // A session of its own is out of reach of the terminal's Ctrl-C, after which names are still wanted.
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, socket, kSymbolWorkerSocket);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, STDIN_FILENO, STDOUT_FILENO);
    if (!kShowsErrors) ::posix_spawn_file_actions_adddup2(&actions_, STDIN_FILENO, STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, kSymbolWorkerSocket + 1);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  [[nodiscard]] const posix_spawn_file_actions_t* actions() const { return &actions_; }
  [[nodiscard]] const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

Error cannot_start(int error) {
  return Error{ErrorKind::NotSupported, fmt::format("the symbol worker cannot be started: {}", std::strerror(error)), "",
               error};
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return fmt::format("ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended with code {}", WIFEXITED(status) ? WEXITSTATUS(status) : status);
}

bool ends_soon(pid_t pid, int& status) {
  for (int tries = 0; tries < 20; ++tries) {
    if (::waitpid(pid, &status, WNOHANG) == pid) return true;
    (void)::poll(nullptr, 0, 10);
  }
  return false;
}

std::optional<SymbolAnswer> read_answer(std::span<const std::byte> body, size_t asked) {
  WireReader in(body);
  SymbolAnswer answer;
  answer.is_elf = in.number(1) == 1;
  answer.problem = in.text(kMaxProblemBytes);
  const uint64_t count = in.number(asked);
  for (uint64_t i = 0; i < count && in.is_good(); ++i) answer.frames.push_back(take_frames(in));
  const bool is_whole = in.is_good() && in.is_at_end() && !answer.frames.empty();
  return is_whole ? std::optional(std::move(answer)) : std::nullopt;
}

}  // namespace

Status SymbolWorker::start() {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return cannot_start(errno);
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  // A descriptor that is put where it already is would be closed at exec.
  const UniqueFd elsewhere(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, kSymbolWorkerSocket + 1));
  if (!elsewhere) return cannot_start(errno);
  const SpawnSettings settings(elsewhere.get());
  std::string memory = std::to_string(limits_.memory_bytes);
  std::string name = "alloctrail";
  std::string argument = kSymbolWorkerArgument;
  const std::array<char*, 4> arguments{name.data(), argument.data(), memory.data(), nullptr};
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, "/proc/self/exe", settings.actions(), settings.attributes(), arguments.data(), environ);
  if (error != 0) return cannot_start(error);
  pid_ = pid;
  channel_ = SymbolChannel(std::move(ours));
  begin_waiting();
  const auto greeting = channel_.receive([this] { return wait(); });
  if (!greeting || greeting->kind != SymbolMessageKind::Ready)
    return Error{ErrorKind::NotSupported, fmt::format("the symbol worker cannot be started: it {}", end()), "", 0};
  confinement_ = static_cast<Confinement>(WireReader(greeting->body).number(UINT32_MAX));
  return ok();
}

void SymbolWorker::stop() {
  if (pid_ != 0) (void)end();
}

/// Ends the worker and says how it ended.
std::string SymbolWorker::end() {
  channel_ = SymbolChannel();  // at which a worker that waits for requests ends
  int status = 0;
  const bool was_too_long = std::exchange(took_too_long_, false);
  if (was_too_long || !ends_soon(pid_, status)) {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = 0;
  return was_too_long ? fmt::format("took longer than {} s", limits_.processor_time_s.count()) : describe(status);
}

std::chrono::nanoseconds SymbolWorker::processor_time() const {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return {};
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void SymbolWorker::begin_waiting() {
  took_too_long_ = false;
  asked_at_ = std::chrono::steady_clock::now();
  processor_time_before_ = processor_time();
}

/// True when there is something to receive (or nobody to receive from), false when it takes too long.
bool SymbolWorker::wait() {
  while (true) {
    took_too_long_ = std::chrono::steady_clock::now() - asked_at_ > limits_.time_s ||
                     processor_time() - processor_time_before_ > limits_.processor_time_s;
    if (took_too_long_) return false;
    pollfd event{channel_.fd(), POLLIN, 0};
    if (::poll(&event, 1, kLookMs) > 0) return true;
  }
}

bool SymbolWorker::answer_debug_file(const SymbolMessage& request, DebugFileSource& places) {
  WireReader in(request.body);
  DebugFileRequest wanted;
  wanted.by = static_cast<DebugFileRequest::By>(in.number(static_cast<uint64_t>(DebugFileRequest::By::Supplementary)));
  wanted.name = in.text(kMaxNameBytes);
  wanted.place = static_cast<uint32_t>(in.number(UINT32_MAX));
  if (!in.is_good()) return false;
  const DebugFileReply reply = places.open(wanted);
  WireWriter out;
  out.number(reply.has_more_places ? 1 : 0);
  return channel_.send(SymbolMessageKind::DebugFileReply, out.bytes(), reply.fd.get(), MSG_DONTWAIT);
}

std::optional<SymbolAnswer> SymbolWorker::ask(uint64_t file, int fd, DebugFileSource& places,
                                              std::span<const uint64_t> offsets) {
  WireWriter request;
  request.number(file);
  request.number(offsets.size());
  for (const uint64_t offset : offsets) request.number(offset);
  begin_waiting();
  if (!channel_.send(SymbolMessageKind::Resolve, request.bytes(), fd, MSG_DONTWAIT)) return std::nullopt;
  while (true) {
    const auto message = channel_.receive([this] { return wait(); });
    if (!message) return std::nullopt;
    if (message->kind == SymbolMessageKind::Answer) return read_answer(message->body, offsets.size());
    if (message->kind != SymbolMessageKind::DebugFile || !answer_debug_file(*message, places)) return std::nullopt;
  }
}

Result<SymbolAnswer> SymbolWorker::resolve(uint64_t file, int fd, DebugFileSource& places,
                                           std::span<const uint64_t> offsets) {
  std::string how;
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (ends_ >= limits_.ends)
      return Error{ErrorKind::NotSupported, "the symbol worker has ended too often", "", 0};
    if (pid_ == 0)
      if (auto started = start(); !started) return std::move(started).error();
    if (auto answer = ask(file, fd, places, offsets)) {
      if (processor_time() > kRetireAfter) stop();
      return *std::move(answer);
    }
    const bool was_too_long = took_too_long_;
    how = end();
    ++ends_;
    if (was_too_long) break;
  }
  return Error{ErrorKind::Failed, fmt::format("the symbol worker {} over it", how), "", 0};
}

Result<Confinement> SymbolWorker::confinement() {
  if (pid_ == 0)
    if (auto started = start(); !started) return std::move(started).error();
  return confinement_;
}

}  // namespace alloctrail
