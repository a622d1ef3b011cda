// SPDX-License-Identifier: Apache-2.0
// Names of kernel functions, from /proc/kallsyms. The table is read through once for all addresses of a report and not
// kept: it is larger than the rest of the program.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace alloctrail {

/// The function at each address ("mem_cgroup_out_of_memory"), or its address in hex where it has no name or names are
/// hidden from us.
[[nodiscard]] std::vector<std::string> name_kernel_functions(const std::vector<uint64_t>& addresses);
/// The same from a table's text.
[[nodiscard]] std::vector<std::string> name_kernel_functions(const std::vector<uint64_t>& addresses, std::istream& table);

}  // namespace alloctrail
