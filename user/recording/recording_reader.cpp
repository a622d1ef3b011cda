// SPDX-License-Identifier: Apache-2.0
#include "user/recording/recording_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <protozero/pbf_reader.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

#include "user/handles.h"
#include "user/recording/field_lists.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxHeaderBytes = 4096;

/// What a recording says cannot be: caught by File::next().
struct Damage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One message -> values. Frames, stacks and sites of the Moments before are what it adds to and refers to.
class Decoder {
 public:
  explicit Decoder(size_t most_value_bytes) : most_value_bytes_(most_value_bytes) {}

  Moment moment(protozero::data_view message) {
    value_bytes_ = 0;
    Moment moment;
    protozero::pbf_reader in(message);
    while (in.next()) {
      switch (in.tag()) {
        case recording::kFrames: get(in, frames_.emplace_back()); break;
        case recording::kStacks: stacks_.push_back(stack(message_of(in))); break;
        case recording::kSnapshots: get(in, moment.snapshots); break;
        case recording::kDeaths: get(in, moment.deaths); break;
        default: in.skip();
      }
    }
    return moment;
  }

 private:
  using In = protozero::pbf_reader;

  static void expect(const In& in, protozero::pbf_wire_type type) {
    if (in.wire_type() != type) throw Damage("a field of another type");
  }
  static In message_of(In& in) {
    expect(in, protozero::pbf_wire_type::length_delimited);
    return in.get_message();
  }
  void account(size_t bytes) {
    value_bytes_ += bytes;
    if (value_bytes_ > most_value_bytes_) throw Damage("more values than a recording has");
  }

  template <class T>
  void get(In& in, T& value) {
    if constexpr (HasFields<T>) {
      get_fields(message_of(in), value);
    } else if constexpr (std::is_floating_point_v<T>) {
      expect(in, protozero::pbf_wire_type::fixed64);
      value = in.get_double();
    } else {
      expect(in, protozero::pbf_wire_type::varint);
      if constexpr (std::is_enum_v<T>) {
        value = static_cast<T>(in.get_uint64());
        if (!is_enumerator(value)) throw Damage("an unknown name");
      } else if constexpr (std::is_signed_v<T>) {
        value = static_cast<T>(in.get_sint64());
      } else {
        value = static_cast<T>(in.get_uint64());
      }
    }
  }
  void get(In& in, std::shared_ptr<const Frame>& frame) {
    Frame value;
    get(in, value);
    frame = std::make_shared<const Frame>(std::move(value));
  }
  void get(In& in, std::string& value) {
    expect(in, protozero::pbf_wire_type::length_delimited);
    value = in.get_string();
    account(value.size());
  }
  template <class Rep, class Period>
  void get(In& in, std::chrono::duration<Rep, Period>& value) {
    expect(in, protozero::pbf_wire_type::varint);
    value = std::chrono::duration_cast<std::chrono::duration<Rep, Period>>(std::chrono::nanoseconds(in.get_sint64()));
  }
  void get(In& in, std::chrono::system_clock::time_point& value) {
    std::chrono::system_clock::duration since_epoch{};
    get(in, since_epoch);
    value = std::chrono::system_clock::time_point(since_epoch);
  }
  template <class T>
  void get(In& in, std::optional<T>& value) {
    get(in, value.emplace());
  }
  template <class T>
  void get(In& in, std::vector<T>& values) {
    account(sizeof(T));
    get(in, values.emplace_back());
  }
  void get(In& in, std::vector<Stack>& stacks) {
    expect(in, protozero::pbf_wire_type::length_delimited);
    for (const uint32_t number : in.get_packed_uint32()) {
      if (number >= stacks_.size()) throw Damage("a stack that was not written");
      account(sizeof(Stack));
      stacks.push_back(stacks_[number]);
    }
  }
  void get(In& in, HasCounters auto& counters) {
    std::string_view name;
    uint64_t value = 0;
    In message = message_of(in);
    while (message.next()) {
      if (message.tag() == recording::kCounterName && message.wire_type() == protozero::pbf_wire_type::length_delimited) {
        const protozero::data_view view = message.get_view();
        name = std::string_view(view.data(), view.size());
      } else if (message.tag() == recording::kCounterValue && message.wire_type() == protozero::pbf_wire_type::varint) {
        value = message.get_uint64();
      } else {
        message.skip();
      }
    }
    for_each_counter(counters, [&](std::string_view known, auto& counter) {
      if (known == name) counter = value;
    });
  }
  void get(In& in, std::vector<Site>& sites) {
    const std::vector<Site>& before = sites_[process_];
    In message = message_of(in);
    while (message.next()) {
      expect(message, protozero::pbf_wire_type::length_delimited);
      const auto numbers = message.get_packed_sint64();
      size_t i = 0;
      for (const int64_t difference : numbers) {
        if (i == sites.size()) {
          if (message.tag() != 1) throw Damage("columns of unequal length");
          account(sizeof(Site));
          sites.push_back(i < before.size() ? before[i] : Site{});
        }
        add_to_column(message.tag(), difference, sites[i++],
                      std::make_index_sequence<std::tuple_size_v<decltype(columns(sites.front()))>>());
      }
    }
  }
  template <size_t... I>
  static void add_to_column(uint32_t tag, int64_t difference, Site& site, std::index_sequence<I...>) {
    const auto add = [&]<size_t C>(std::integral_constant<size_t, C>) {
      auto&& cell = std::get<C>(columns(site));
      if (tag == C + 1) set_whole(cell, to_whole(cell) + static_cast<uint64_t>(difference));
    };
    (add(std::integral_constant<size_t, I>()), ...);
  }

  template <class T>
  void get_fields(In in, T& value) {
    while (in.next()) {
      const uint32_t number = in.tag();
      bool known = false;
      std::apply(
          [&](auto&... field) {
            uint32_t n = 0;
            ((++n == number && !known ? (known = true, get(in, field), begin(value)) : void()), ...);
          },
          fields(value));
      if (!known) in.skip();  // written by a later alloctrail
    }
    check(value);
  }

  template <class T>
  void begin(const T& value) {
    if constexpr (std::is_same_v<T, Snapshot>) process_ = value.process.pid;
  }

  template <class T>
  void check(const T&) {}
  void check(const Snapshot& snapshot) {
    for (const Site& site : snapshot.sites)
      if (site.thread >= snapshot.threads.size() || site.stack >= snapshot.stacks.size())
        throw Damage("a site without its thread or stack");
    if (snapshot.faults)
      for (const FaultSite& site : snapshot.faults->sites)
        if (site.thread >= snapshot.threads.size() || site.stack >= snapshot.stacks.size())
          throw Damage("a fault without its thread or stack");
    if (snapshot.mapped)
      for (const MappingRow& row : snapshot.mapped->rows)
        if (row.stack && *row.stack >= snapshot.stacks.size()) throw Damage("a mapping without its stack");
    if (snapshot.end == EndReason::None)
      sites_[snapshot.process.pid] = snapshot.sites;
    else
      sites_.erase(snapshot.process.pid);
  }
  void check(const OomReport& death) {
    const auto written = [&](uint32_t stack) { return stack < death.stacks.size() || (stack == 0 && death.stacks.empty()); };
    bool whole = written(death.trigger_stack) && (!death.full_cgroup || *death.full_cgroup < death.cgroups.size());
    for (const OomThread& thread : death.threads) whole = whole && thread.stack < death.stacks.size();
    if (!whole) throw Damage("a death without its stacks");
  }

  Stack stack(In in) {
    std::vector<Frames::Shared> frames;
    Stack result;
    while (in.next()) {
      if (in.tag() == recording::kStackFrames) {
        expect(in, protozero::pbf_wire_type::length_delimited);
        for (const uint32_t number : in.get_packed_uint32()) {
          if (number >= frames_.size()) throw Damage("a frame that was not written");
          account(sizeof(Frames::Shared));
          frames.push_back(frames_[number]);
        }
      } else if (in.tag() == recording::kStackStatus) {
        uint32_t status = 0;
        get(in, status);
        if (status >= AT_STACK_STATUS_COUNT) throw Damage("an unknown end of a stack");
        result.status = static_cast<at_stack_status>(status);
      } else {
        in.skip();
      }
    }
    result.frames = Frames(std::move(frames));
    return result;
  }

  std::vector<Frames::Shared> frames_;
  std::vector<Stack> stacks_;
  std::map<Tgid, std::vector<Site>> sites_;
  Tgid process_{};
  size_t value_bytes_ = 0;
  size_t most_value_bytes_;
};

}  // namespace

class RecordingReader::File {
 public:
  File(UniqueFd fd, std::string path, const RecordingLimits& limits)
      : fd_(std::move(fd)), path_(std::move(path)), most_message_bytes_(limits.moment_bytes), decoder_(limits.value_bytes) {}

  /// Reads the header.
  Status begin() {
    std::array<char, 2 * sizeof(uint32_t)> start{};
    uint32_t magic = 0;
    uint32_t size = 0;
    const bool whole = read_exactly(start.data(), start.size());
    std::memcpy(&magic, start.data(), sizeof(magic));
    std::memcpy(&size, start.data() + sizeof(magic), sizeof(size));
    if (!whole || magic != recording::kHeaderMagic || size > kMaxHeaderBytes) return no_recording();
    std::string text(size, '\0');
    if (!read_exactly(text.data(), text.size()) || !text.starts_with(recording::kSchema)) return no_recording();
    uint32_t version = 0;
    std::from_chars(text.data() + recording::kSchema.size(), text.data() + text.size(), version);
    if (version == 0) return no_recording();
    if (version > recording::kVersion) {
      return Error{ErrorKind::Failed,
                   fmt::format("'{}' has format {}; this alloctrail reads up to {}", path_, version, recording::kVersion),
                   "read it with the alloctrail that made it, or a newer one"};
    }
    return ok();
  }

  std::optional<Moment> next() {
    if (ended_) return std::nullopt;
    ended_ = true;
    try {
      if (!unpack()) return std::nullopt;
      Moment moment = decoder_.moment(message_);
      ++moments_;
      ended_ = false;
      return moment;
    } catch (const protozero::exception& failure) {
      end_damaged(failure.what());
    } catch (const Damage& failure) {
      end_damaged(failure.what());
    }
    return std::nullopt;
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] bool damaged() const { return damaged_; }

 private:
  [[nodiscard]] Error no_recording() const {
    if (read_error_ != 0)
      return Error{ErrorKind::Failed, fmt::format("cannot read '{}': {}", path_, std::strerror(read_error_)), "", read_error_};
    return Error{ErrorKind::Failed, fmt::format("'{}' is not a recording", path_),
                 "make one with: alloctrail record -p PID -o FILE"};
  }

  void end_damaged(const std::string& why) {
    damaged_ = true;
    problem_ = fmt::format("'{}' is damaged in its moment {}, before byte {}: {}; what comes before is shown", path_,
                           moments_ + 1, offset_ - (available_ - used_), why);
  }
  void end_short() {
    problem_ = fmt::format("'{}' is cut short in its moment {}: what comes before is shown", path_, moments_ + 1);
  }

  /// The next zstd frame into message_. False at the end, with problem_ set if that is not the end of a frame.
  bool unpack() {
    message_.clear();
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    bool begun = false;
    for (size_t left = 1; left != 0; begun = true) {
      if (used_ == available_ && !refill()) {
        if (read_error_ != 0) throw Damage(std::strerror(read_error_));
        if (begun) end_short();
        return false;
      }
      const size_t old_size = message_.size();
      message_.resize(old_size + ZSTD_DStreamOutSize());
      ZSTD_inBuffer in{buffer_.data(), available_, used_};
      ZSTD_outBuffer out{message_.data(), message_.size(), old_size};
      left = ZSTD_decompressStream(context_.get(), &out, &in);
      used_ = in.pos;
      message_.resize(out.pos);
      if (ZSTD_isError(left)) throw Damage(ZSTD_getErrorName(left));
      if (message_.size() > most_message_bytes_) throw Damage("a moment larger than any");
    }
    return true;
  }

  bool refill() {
    used_ = available_ = 0;
    const ssize_t got = read_some(buffer_.data(), buffer_.size());
    if (got > 0) available_ = static_cast<size_t>(got);
    return got > 0;
  }

  bool read_exactly(char* to, size_t size) {
    while (size != 0) {
      const ssize_t got = read_some(to, size);
      if (got <= 0) return false;
      to += got;
      size -= static_cast<size_t>(got);
    }
    return true;
  }

  ssize_t read_some(char* to, size_t size) {
    ssize_t got = 0;
    do got = ::read(fd_.get(), to, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) read_error_ = errno;
    if (got > 0) offset_ += static_cast<uint64_t>(got);
    return got;
  }

  UniqueFd fd_;
  std::string path_;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_{ZSTD_createDCtx(), &ZSTD_freeDCtx};
  std::vector<char> buffer_ = std::vector<char>(ZSTD_DStreamInSize());
  size_t available_ = 0;  ///< bytes in buffer_
  size_t used_ = 0;       ///< of them unpacked
  uint64_t offset_ = 0;   ///< bytes read of the file
  int read_error_ = 0;
  std::string message_;
  size_t most_message_bytes_;
  Decoder decoder_;
  uint64_t moments_ = 0;
  bool ended_ = false;
  bool damaged_ = false;
  std::string problem_;
};

RecordingReader::RecordingReader(std::unique_ptr<File> file) : file_(std::move(file)) {}
RecordingReader::RecordingReader(RecordingReader&&) noexcept = default;
RecordingReader& RecordingReader::operator=(RecordingReader&&) noexcept = default;
RecordingReader::~RecordingReader() = default;

Result<RecordingReader> RecordingReader::open(const std::string& path, const RecordingLimits& limits) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return Error{ErrorKind::Failed, fmt::format("cannot open '{}': {}", path, std::strerror(errno)), "", errno};
  struct stat kind {};
  if (::fstat(fd.get(), &kind) == 0 && !S_ISREG(kind.st_mode))
    return Error{ErrorKind::Failed, fmt::format("'{}' is not a file", path), "name a recording made by alloctrail record"};
  auto file = std::make_unique<File>(std::move(fd), path, limits);
  if (Status begun = file->begin(); !begun) return std::move(begun).error();
  return RecordingReader(std::move(file));
}

std::optional<Moment> RecordingReader::next() { return file_->next(); }
const std::string& RecordingReader::problem() const { return file_->problem(); }
bool RecordingReader::damaged() const { return file_->damaged(); }

}  // namespace alloctrail
