// SPDX-License-Identifier: Apache-2.0
// Distinct types for the numbers that must not be mixed up.
#pragma once

#include <cstdint>
#include <type_traits>

namespace alloctrail {

enum class Tgid : uint32_t {};    ///< a process: its thread-group id in the initial pid namespace
enum class Tid : uint32_t {};     ///< a thread: its id in the initial pid namespace
enum class Addr : uint64_t {};    ///< a virtual address in a target
enum class Slot : uint32_t {};    ///< index of one traced process image (kernel map `slots`)
enum class StackId : uint32_t {}; ///< index of one stored stack (kernel map `stacks`)

/// The plain number of an id, for printing and indexing.
template <class Id>
constexpr auto raw(Id id) {
  return static_cast<std::underlying_type_t<Id>>(id);
}

}  // namespace alloctrail
