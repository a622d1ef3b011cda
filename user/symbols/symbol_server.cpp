// SPDX-License-Identifier: Apache-2.0
// Answers requests one after the other until nobody is left to ask. Nothing is reported from here: what goes wrong ends
// the process, and the program on the other side sees that.
#include "user/symbols/symbol_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <string_view>

#include "user/symbols/confinement.h"
#include "user/symbols/file_symbols.h"
#include "user/symbols/packed_frames.h"
#include "user/symbols/symbol_channel.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxFiles = 128;
constexpr size_t kMaxOpenDebugInfo = 32;
constexpr uint64_t kWantedDebugBytes = 96ULL << 20;
constexpr uint64_t kWantedResidentBytes = 160ULL << 20;
constexpr size_t kMaxAnswerBytes = SymbolChannel::kMaxBytes / 2;

class SymbolServer : public DebugFileSource {
 public:
  SymbolServer(SymbolChannel channel, UniqueFd memory_use) : channel_(std::move(channel)), memory_use_(std::move(memory_use)) {}

  bool greet(Confinement confinement) {
    WireWriter out;
    out.number(confinement);
    return channel_.send(SymbolMessageKind::Ready, out.bytes(), -1, 0);
  }

  /// False when there is nobody left to serve.
  bool serve_one() {
    auto request = next();
    if (!request || request->kind != SymbolMessageKind::Resolve) return false;
    WireReader in(request->body);
    const uint64_t number = in.number();
    std::vector<uint64_t> offsets(in.number(request->body.size()));
    for (uint64_t& offset : offsets) offset = in.number();
    if (!in.is_good()) return false;
    FileSymbols* known = file(number, request->fd);
    request->fd.reset();  // it is mapped
    return channel_.send(SymbolMessageKind::Answer, answer(known, offsets).bytes(), -1, 0);
  }

  DebugFileReply open(const DebugFileRequest& request) override {
    WireWriter out;
    out.number(static_cast<uint64_t>(request.by));
    out.text(request.name);
    out.number(request.place);
    if (!channel_.send(SymbolMessageKind::DebugFile, out.bytes(), -1, 0)) return {};
    auto reply = next();
    if (!reply || reply->kind != SymbolMessageKind::DebugFileReply) return {};
    WireReader in(reply->body);
    return {std::move(reply->fd), in.number(1) == 1};
  }

 private:
  std::optional<SymbolMessage> next() {
    return channel_.receive([] { return true; });
  }

  /// Null for a file that cannot be mapped.
  FileSymbols* file(uint64_t number, const UniqueFd& fd) {
    auto known = files_.find(number);
    if (known == files_.end()) {
      auto bytes = MappedFile::open(fd);
      if (!bytes) return nullptr;
      if (files_.size() >= kMaxFiles) files_.erase(oldest([](const FileSymbols&) { return true; }));
      known = files_.try_emplace(number, *std::move(bytes), *this).first;
    }
    known->second.last_used = ++clock_;
    return &known->second;
  }

  WireWriter answer(FileSymbols* file, std::span<const uint64_t> offsets) {
    WireWriter frames;
    size_t count = 0;
    while (count < offsets.size() && frames.size() < kMaxAnswerBytes) {
      pack_frames(file != nullptr ? file->frames_at(offsets[count]) : std::vector{Frame()}, frames);
      ++count;
      bound_memory();
    }
    WireWriter out;
    out.number(file != nullptr && file->is_elf() ? 1 : 0);
    out.text(file != nullptr ? file->problem() : std::string());
    out.number(count);
    out.append(frames.bytes());
    return out;
  }

  using Files = std::map<uint64_t, FileSymbols>;

  template <class Wanted>
  Files::iterator oldest(Wanted wanted) {
    auto found = files_.end();
    for (auto at = files_.begin(); at != files_.end(); ++at) {
      if (!wanted(at->second)) continue;
      if (found == files_.end() || at->second.last_used < found->second.last_used) found = at;
    }
    return found;
  }

  void bound_memory() {
    size_t open = 0;
    uint64_t bytes = 0;
    for (const auto& [number, file] : files_) {
      open += file.has_open_debug_info() ? 1 : 0;
      bytes += file.debug_info_bytes();
    }
    for (; open > 1 && (open > kMaxOpenDebugInfo || bytes > kWantedDebugBytes); --open) {
      FileSymbols& file = oldest([](const FileSymbols& each) { return each.has_open_debug_info(); })->second;
      bytes -= file.debug_info_bytes();
      file.close_debug_info();
    }
    if (resident_bytes() > kWantedResidentBytes)
      for (const auto& [number, file] : files_) file.drop_pages();
  }

  [[nodiscard]] uint64_t resident_bytes() const {
    std::array<char, 128> text{};
    const ssize_t got = ::pread(memory_use_.get(), text.data(), text.size(), 0);
    const std::string_view line(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
    const size_t space = line.find(' ');
    uint64_t pages = 0;
    if (space != std::string_view::npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), pages);
    return pages * static_cast<uint64_t>(page_bytes_);
  }

  SymbolChannel channel_;
  UniqueFd memory_use_;  ///< /proc/self/statm
  Files files_;
  uint64_t clock_ = 0;
  long page_bytes_ = ::sysconf(_SC_PAGESIZE);
};

bool is_our_socket(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

int serve(uint64_t memory_bytes) {
  ::prctl(PR_SET_NAME, "alloctrail-sym");
  UniqueFd memory_use(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  SymbolServer server(SymbolChannel(UniqueFd(kSymbolWorkerSocket)), std::move(memory_use));
  if (!server.greet(confine(memory_bytes))) return EXIT_FAILURE;
  while (server.serve_one()) {
  }
  return EXIT_SUCCESS;
}

}  // namespace

std::optional<int> serve_as_symbol_worker(std::span<char* const> arguments) {
  if (arguments.size() != 3 || std::string_view(arguments[1]) != kSymbolWorkerArgument) return std::nullopt;
  const std::string_view text(arguments[2]);
  uint64_t memory_bytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), memory_bytes);
  if (!is_our_socket(kSymbolWorkerSocket)) return EXIT_FAILURE;
  try {
    ::_exit(serve(memory_bytes));  // at the end of a confined process there is nothing to tidy up
  } catch (const std::exception&) {
    ::_exit(EXIT_FAILURE);  // out of memory
  }
}

}  // namespace alloctrail
