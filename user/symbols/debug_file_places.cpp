// SPDX-License-Identifier: Apache-2.0
// The names that are tried come from hostile files, so each candidate is looked at before it is opened (a FIFO would
// block, a device may act on being opened).
#include "user/symbols/debug_file_places.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace alloctrail {
namespace {

constexpr std::string_view kDebugRoot = "/usr/lib/debug/";
constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxBuildIdBytes = 64;
constexpr size_t kMaxLooks = 64;

struct Candidate {
  UniqueFd fd;
  bool only_root_writes = false;
};

bool begins_as_elf(int fd) {
  std::array<char, SELFMAG> magic{};
  return ::pread(fd, magic.data(), magic.size(), 0) == SELFMAG && std::memcmp(magic.data(), ELFMAG, SELFMAG) == 0;
}

std::optional<Candidate> open_candidate(const std::string& path) {
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info {};
  if (!place || ::fstat(place.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const std::string reopen = fmt::format("/proc/self/fd/{}", place.get());
  UniqueFd fd(::open(reopen.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd || !begins_as_elf(fd.get())) return std::nullopt;
  return Candidate{std::move(fd), info.st_uid == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0};
}

std::optional<FileIdentity> identity_at(const std::string& path) {
  const auto candidate = open_candidate(path);
  return candidate ? identity_of(candidate->fd.get()) : std::nullopt;
}

std::string path_of_build_id(std::string_view id) {
  std::string path = fmt::format("{}.build-id/{:02x}/", kDebugRoot, static_cast<unsigned char>(id[0]));
  for (const char byte : id.substr(1)) path += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return path + ".debug";
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

std::vector<std::string> places_of_link(std::string_view path, std::string_view name) {
  const size_t slash = path.rfind('/');
  if (!path.starts_with('/') || slash == std::string_view::npos || !is_file_name(name)) return {};
  const std::string_view folder = path.substr(0, slash + 1);
  return {fmt::format("{}{}", folder, name), fmt::format("{}.debug/{}", folder, name),
          fmt::format("{}{}{}", kDebugRoot, folder.substr(1), name)};
}

std::vector<std::string> places_of_supplementary(std::string_view folder, std::string_view name) {
  if (folder.empty() || name.empty()) return {};
  const std::filesystem::path path = name.starts_with('/') ? std::string(name) : fmt::format("{}{}", folder, name);
  const std::string normal = path.lexically_normal().string();
  return normal.starts_with(kDebugRoot) ? std::vector{normal} : std::vector<std::string>();
}

}  // namespace

std::vector<std::string> DebugFilePlaces::places(const DebugFileRequest& request) const {
  if (request.name.size() > kMaxNameBytes || request.name.find('\0') != std::string::npos) {
    if (request.by != DebugFileRequest::By::BuildId) return {};
  }
  switch (request.by) {
    case DebugFileRequest::By::BuildId:
      if (request.name.size() < 3 || request.name.size() > kMaxBuildIdBytes) return {};
      return {path_of_build_id(request.name)};
    case DebugFileRequest::By::Link: return places_of_link(path_, request.name);
    case DebugFileRequest::By::Supplementary: return places_of_supplementary(trusted_folder_, request.name);
  }
  return {};
}

DebugFileReply DebugFilePlaces::open(const DebugFileRequest& request) {
  const std::vector<std::string> all = places(request);
  if (request.place >= all.size() || looks_.size() >= kMaxLooks) return {};
  const std::string& path = all[request.place];
  DebugFileReply reply;
  reply.has_more_places = request.place + 1 < all.size();
  auto candidate = open_candidate(path);
  looks_.push_back({path, candidate ? identity_of(candidate->fd.get()) : std::nullopt});
  if (!candidate) return reply;
  if (request.by != DebugFileRequest::By::Supplementary) {
    const bool trusted = candidate->only_root_writes && path.starts_with(kDebugRoot);
    trusted_folder_ = trusted ? path.substr(0, path.rfind('/') + 1) : std::string();
  }
  reply.fd = std::move(candidate->fd);
  return reply;
}

bool DebugFilePlaces::is_unchanged(const std::vector<Look>& looks) {
  return std::all_of(looks.begin(), looks.end(), [](const Look& look) { return identity_at(look.path) == look.found; });
}

}  // namespace alloctrail
