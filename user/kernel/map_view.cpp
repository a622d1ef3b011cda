// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/map_view.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace alloctrail {

Result<MappedPages> MappedPages::map(int map_fd, size_t bytes, const char* name) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t rounded = (bytes + page - 1) / page * page;
  void* data = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (data == MAP_FAILED)
    return Error{.message = fmt::format("mapping the kernel's '{}' table: {}", name, std::strerror(errno)), .hint = "", .os_error = errno};
  return MappedPages(data, rounded);
}

}  // namespace alloctrail
