// SPDX-License-Identifier: Apache-2.0
// .gnu_debugdata through liblzma itself: libdwfl unpacks it without a limit on the result.
#include "user/symbols/minidebug.h"

#ifdef ALLOCTRAIL_HAVE_LZMA
#include <lzma.h>
#endif

namespace alloctrail {

#ifdef ALLOCTRAIL_HAVE_LZMA
namespace {

constexpr size_t kMaxPackedBytes = 16 << 20;
constexpr size_t kMaxUnpackedBytes = 64 << 20;
constexpr size_t kFirstBytes = 1 << 20;
constexpr uint64_t kMaxDecoderBytes = 128 << 20;

}  // namespace

std::vector<char> unpack_minidebug(const ElfImage& file) {
  const std::string_view packed = file.section_bytes(".gnu_debugdata", kMaxPackedBytes);
  lzma_stream stream = LZMA_STREAM_INIT;
  if (packed.empty() || lzma_stream_decoder(&stream, kMaxDecoderBytes, 0) != LZMA_OK) return {};
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();

  std::vector<char> unpacked(kFirstBytes);
  lzma_ret state = LZMA_OK;
  for (;;) {
    stream.next_out = reinterpret_cast<uint8_t*>(unpacked.data()) + stream.total_out;
    stream.avail_out = unpacked.size() - stream.total_out;
    state = lzma_code(&stream, LZMA_FINISH);
    if (state != LZMA_OK || stream.avail_out != 0 || unpacked.size() >= kMaxUnpackedBytes) break;
    unpacked.resize(unpacked.size() * 2);
  }
  unpacked.resize(state == LZMA_STREAM_END ? stream.total_out : 0);
  lzma_end(&stream);
  return unpacked;
}
#else
std::vector<char> unpack_minidebug(const ElfImage&) {
  return {};
}
#endif

}  // namespace alloctrail
