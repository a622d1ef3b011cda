// SPDX-License-Identifier: Apache-2.0
#include "user/output/report_directory.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "user/output/output_file.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

/// A name from a target as part of a file's name: letters, digits and a few others.
std::string file_name_part(std::string_view name) {
  std::string part;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    part.push_back(plain ? c : '_');
  }
  return part;
}

}  // namespace

Result<ReportDirectory> ReportDirectory::open(std::string path, std::string prefix, std::string suffix, size_t keep) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return Error{.message = fmt::format("cannot make the directory '{}': {}", path, std::strerror(errno)),
                 .hint = "choose another with -o DIR",
                 .os_error = errno};
  std::error_code error;
  if (!std::filesystem::is_directory(path, error))
    return Error{.message = fmt::format("'{}' is not a directory", path), .hint = "choose another with -o DIR"};
  return ReportDirectory(std::move(path), std::move(prefix), std::move(suffix), keep);
}

Result<std::string> ReportDirectory::write(std::chrono::system_clock::time_point time, std::string_view name,
                                           std::string_view text) const {
  std::string stamp = format_rfc3339(time);
  std::erase(stamp, ':');
  const std::string path = fmt::format("{}/{}-{}-{}.{}", path_, prefix_, stamp, file_name_part(name), suffix_);
  auto sink = open_sink(path, Delivery::Whole);
  if (!sink) return std::move(sink).error();
  if (auto written = (*sink)->write(text); !written) return std::move(written).error();
  if (auto finished = (*sink)->finish(); !finished) return std::move(finished).error();
  remove_old();
  return path;
}

/// The time in their names sorts them.
void ReportDirectory::remove_old() const {
  std::vector<std::string> ours;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix_ + "-") && name.ends_with("." + suffix_)) ours.push_back(entry.path().string());
  }
  if (ours.size() <= keep_) return;
  std::ranges::sort(ours);
  for (size_t i = 0; i + keep_ < ours.size(); ++i) (void)unlink(ours[i].c_str());
}

}  // namespace alloctrail
