// SPDX-License-Identifier: Apache-2.0
#include "user/recording/recording_writer.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <protozero/pbf_writer.hpp>
#include <utility>

#include "user/recording/field_lists.h"
#include "user/result.h"

namespace alloctrail {
namespace {

constexpr int kCompressionLevel = 3;

std::string compressed(const std::string& message) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  ALLOCTRAIL_CHECK(context != nullptr);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string frame(ZSTD_compressBound(message.size()), '\0');
  const size_t size = ZSTD_compress2(context.get(), frame.data(), frame.size(), message.data(), message.size());
  ALLOCTRAIL_CHECK(!ZSTD_isError(size));
  frame.resize(size);
  return frame;
}

}  // namespace

/// Writes the values of one Moment, and what they refer to that the file does not hold yet.
class RecordingWriter::Encoder {
 public:
  explicit Encoder(RecordingWriter& file) : file_(file) {}

  std::string moment(const Moment& moment) {
    std::string values;
    protozero::pbf_writer out(values);
    put(out, recording::kSnapshots, moment.snapshots);
    put(out, recording::kDeaths, moment.deaths);
    return definitions_ + values;
  }

 private:
  using Out = protozero::pbf_writer;

  template <class T>
  void put(Out& out, uint32_t number, const T& value) {
    if constexpr (HasFields<const T>) {
      Out message(out, number);
      put_fields(message, value);
    } else if constexpr (std::is_enum_v<T>) {
      static_assert(is_enumerator(T{}));
      out.add_uint64(number, static_cast<uint64_t>(value));
    } else if constexpr (std::is_floating_point_v<T>) {
      out.add_double(number, value);
    } else if constexpr (std::is_signed_v<T>) {
      out.add_sint64(number, value);
    } else {
      static_assert(std::is_unsigned_v<T>);
      out.add_uint64(number, value);
    }
  }
  void put(Out& out, uint32_t number, const std::string& value) { out.add_bytes(number, value); }
  template <class Rep, class Period>
  void put(Out& out, uint32_t number, std::chrono::duration<Rep, Period> value) {
    out.add_sint64(number, std::chrono::nanoseconds(value).count());
  }
  void put(Out& out, uint32_t number, std::chrono::system_clock::time_point value) {
    put(out, number, value.time_since_epoch());
  }
  template <class T>
  void put(Out& out, uint32_t number, const std::optional<T>& value) {
    if (value) put(out, number, *value);
  }
  template <class T>
  void put(Out& out, uint32_t number, const std::vector<T>& values) {
    for (const T& value : values) put(out, number, value);
  }
  void put(Out& out, uint32_t number, const std::vector<Stack>& stacks) {
    protozero::packed_field_uint32 numbers(out, number);
    for (const Stack& stack : stacks) numbers.add_element(number_of(stack));
  }
  void put(Out& out, uint32_t number, const HasCounters auto& counters) {
    for_each_counter(counters, [&](std::string_view name, uint64_t value) {
      if (value == 0) return;
      Out message(out, number);
      message.add_bytes(recording::kCounterName, name.data(), name.size());
      message.add_uint64(recording::kCounterValue, value);
    });
  }
  /// Each column holds differences to the sites of the process in the Moment before: mostly zeros. A column of zeros alone is
  /// left out.
  void put(Out& out, uint32_t number, const std::vector<Site>& sites) {
    Out message(out, number);
    put_columns(message, sites, std::make_index_sequence<std::tuple_size_v<decltype(columns(sites.front()))>>());
  }

  template <size_t... I>
  void put_columns(Out& out, const std::vector<Site>& sites, std::index_sequence<I...>) {
    const std::vector<Site>& before = file_.sites_[process_];
    const auto put_column = [&]<size_t C>(std::integral_constant<size_t, C>) {
      std::vector<int64_t> differences;
      differences.reserve(sites.size());
      for (size_t i = 0; i < sites.size(); ++i) {
        const uint64_t old = i < before.size() ? to_whole(std::get<C>(columns(before[i]))) : 0;
        differences.push_back(static_cast<int64_t>(to_whole(std::get<C>(columns(sites[i]))) - old));
      }
      // The first column says how many sites there are.
      if (C == 0 || std::any_of(differences.begin(), differences.end(), [](int64_t one) { return one != 0; }))
        out.add_packed_sint64(C + 1, differences.begin(), differences.end());
    };
    (put_column(std::integral_constant<size_t, I>()), ...);
    file_.sites_[process_] = sites;
  }

  template <class T>
  void put_fields(Out& out, const T& value) {
    if constexpr (std::is_same_v<T, Snapshot>) process_ = value.process.pid;
    std::apply([&](const auto&... field) { uint32_t number = 0; (put(out, ++number, field), ...); }, fields(value));
    if constexpr (std::is_same_v<T, Snapshot>)
      if (value.end != EndReason::None) file_.sites_.erase(process_);
  }

  uint32_t number_of(const Stack& stack) {
    std::string definition;
    Out out(definition);
    {
      protozero::packed_field_uint32 numbers(out, recording::kStackFrames);
      for (const Frame& frame : stack.frames) numbers.add_element(number_of(frame));
    }
    out.add_uint32(recording::kStackStatus, stack.status);
    const auto [known, is_new] = file_.stacks_.emplace(std::move(definition), static_cast<uint32_t>(file_.stacks_.size()));
    if (is_new) {
      Out(definitions_).add_message(recording::kStacks, known->first);
      file_.kept_.push_back(stack.frames);
    }
    return known->second;
  }

  uint32_t number_of(const Frame& frame) {
    const auto [known, is_new] = file_.frames_.emplace(&frame, static_cast<uint32_t>(file_.frames_.size()));
    if (is_new) {
      Out out(definitions_);
      put(out, recording::kFrames, frame);
    }
    return known->second;
  }

  RecordingWriter& file_;
  std::string definitions_;
  Tgid process_{};  ///< whose Snapshot is being written
};

std::string RecordingWriter::header() {
  const std::string text = fmt::format("{}{}\nalloctrail {}\n", recording::kSchema, recording::kVersion, ALLOCTRAIL_VERSION);
  std::string frame(2 * sizeof(uint32_t), '\0');
  const auto size = static_cast<uint32_t>(text.size());
  std::memcpy(frame.data(), &recording::kHeaderMagic, sizeof(recording::kHeaderMagic));
  std::memcpy(frame.data() + sizeof(uint32_t), &size, sizeof(size));
  return frame + text;
}

std::string RecordingWriter::add(const Moment& moment) { return compressed(Encoder(*this).moment(moment)); }

}  // namespace alloctrail
