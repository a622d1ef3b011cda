// SPDX-License-Identifier: Apache-2.0
#include "user/target/smaps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "user/handles.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kPieceBytes = 64u << 10;

struct Line {
  std::string_view key;
  uint64_t ResidentBytes::*bytes;
};
constexpr Line kLines[] = {
    {"Rss", &ResidentBytes::rss},
    {"Pss", &ResidentBytes::pss},
    {"Anonymous", &ResidentBytes::anonymous},
    {"AnonHugePages", &ResidentBytes::anon_huge},
    {"Private_Clean", &ResidentBytes::private_clean},
    {"Private_Dirty", &ResidentBytes::private_dirty},
    {"LazyFree", &ResidentBytes::lazy_free},
    {"Swap", &ResidentBytes::swap},
    {"Shared_Hugetlb", &ResidentBytes::hugetlb},
    {"Private_Hugetlb", &ResidentBytes::hugetlb},
};

/// Is it among the two-letter flags? "gd": VM_GROWSDOWN, "nr": VM_NORESERVE.
bool has_flag(std::string_view flags, std::string_view flag) {
  for (size_t at = flags.find(flag); at != std::string_view::npos; at = flags.find(flag, at + 1))
    if ((at == 0 || flags[at - 1] == ' ') && (at + 2 == flags.size() || flags[at + 2] == ' ')) return true;
  return false;
}

/// Hands the content over in pieces. An error, or its end.
Status read_in_pieces(const std::string& path, SmapsParser& parser) {
  const auto failed = [&] { return Error{ErrorKind::Failed, path + ": " + std::strerror(errno), "", errno}; };
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed();
  const auto buffer = std::make_unique<char[]>(kPieceBytes);
  for (;;) {
    const ssize_t got = read(fd.get(), buffer.get(), kPieceBytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed();
    if (got == 0) break;
    parser.add({buffer.get(), static_cast<size_t>(got)});
  }
  parser.finish();
  return ok();
}

Status read_parsed(Tgid pid, std::string_view file, const SmapsParser::Sink& sink) {
  const auto thread = live_thread(pid);
  if (!thread) return cannot_look_at(pid, ESRCH);
  SmapsParser parser(sink);
  if (auto read = read_in_pieces(proc_path(static_cast<pid_t>(raw(*thread)), file), parser); !read)
    return cannot_look_at(pid, read.error().os_error);
  return ok();
}

}  // namespace

ResidentBytes& ResidentBytes::operator+=(const ResidentBytes& other) {
  rss += other.rss;
  pss += other.pss;
  anonymous += other.anonymous;
  anon_huge += other.anon_huge;
  private_clean += other.private_clean;
  private_dirty += other.private_dirty;
  lazy_free += other.lazy_free;
  swap += other.swap;
  hugetlb += other.hugetlb;
  return *this;
}

void SmapsParser::add(std::string_view piece) {
  for (size_t end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
    if (unfinished_line_.empty()) {
      line(piece.substr(0, end));
    } else {
      unfinished_line_.append(piece.substr(0, end));
      line(unfinished_line_);
      unfinished_line_.clear();
    }
    piece.remove_prefix(end + 1);
  }
  unfinished_line_.append(piece);
}

void SmapsParser::finish() {
  if (!unfinished_line_.empty()) line(unfinished_line_);
  unfinished_line_.clear();
  flush();
}

void SmapsParser::flush() {
  if (in_range_) sink_(range_);
  in_range_ = false;
}

void SmapsParser::line(std::string_view text) {
  const size_t colon = text.find(':');
  // A head starts with an address and a dash, "Key:" with a capital letter.
  const bool is_head = !text.empty() && (text[0] < 'A' || text[0] > 'Z');
  if (is_head) {
    auto mapping = parse_mapping(text);
    flush();
    if (!mapping) return;
    range_ = {.mapping = *std::move(mapping), .bytes = {}};
    in_range_ = true;
    return;
  }
  if (!in_range_ || colon == std::string_view::npos) return;
  const std::string_view key = text.substr(0, colon);
  text.remove_prefix(std::min(text.find_first_not_of(" \t", colon + 1), text.size()));
  if (key == "VmFlags") {
    range_.grows_down = has_flag(text, "gd");
    range_.no_reserve = has_flag(text, "nr");
  }
  const auto known = std::ranges::find(kLines, key, &Line::key);
  if (known != std::end(kLines)) range_.bytes.*known->bytes += leading_number(text).value_or(0) * 1024;
}

Status read_smaps(Tgid pid, const SmapsParser::Sink& sink) {
  return read_parsed(pid, "smaps", sink);
}

Result<ResidentBytes> read_smaps_rollup(Tgid pid) {
  ResidentBytes sum;
  if (auto read = read_parsed(pid, "smaps_rollup", [&](const ResidentRange& range) { sum += range.bytes; }); !read)
    return read.error();
  return sum;
}

}  // namespace alloctrail
