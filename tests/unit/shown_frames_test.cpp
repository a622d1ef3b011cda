// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/shown_frames.h"

#include <gtest/gtest.h>

namespace alloctrail {
namespace {

Frame named(const char* function, const char* file = "main.cpp") {
  Frame frame;
  frame.function = function;
  frame.file = file;
  frame.module = "/usr/bin/program";
  return frame;
}

Frame in_library(const char* function) { return named(function, "/usr/include/c++/12/bits/stl_list.h"); }

using Indices = std::vector<uint32_t>;

TEST(ShownFrames, AllMeansAll) {
  const Stack stack{.frames = {named("malloc"), in_library("allocate"), named("main")}, .status = AT_STACK_complete};
  EXPECT_EQ(shown_frames(stack, FrameChoice::All), (Indices{0, 1, 2}));
}

TEST(ShownFrames, RowOfLibraryFramesShowsTheCallIntoIt) {
  const Stack stack{.frames = {named("malloc"), named("operator new(unsigned long)"), in_library("_M_get_node"),
                               in_library("push_back"), named("remember"), named("main")},
                    .status = AT_STACK_complete};
  EXPECT_EQ(shown_frames(stack, FrameChoice::Callers), (Indices{3, 4, 5}));
}

TEST(ShownFrames, UnnamedLibraryFrameDoesNotHideANamedOne) {
  Frame unnamed;
  unnamed.module = "/usr/lib/libstdc++.so.6.0.30";
  const Stack stack{.frames = {named("work"), in_library("_M_run"), unnamed, named("start_thread")},
                    .status = AT_STACK_complete};
  EXPECT_EQ(shown_frames(stack, FrameChoice::Callers), (Indices{0, 1, 3}));
}

TEST(ShownFrames, TwoRowsShowTwoCalls) {
  const Stack stack{.frames = {in_library("insert"), named("callback"), in_library("invoke"), in_library("for_each"),
                               named("main")},
                    .status = AT_STACK_complete};
  EXPECT_EQ(shown_frames(stack, FrameChoice::Callers), (Indices{0, 1, 3, 4}));
}

TEST(ShownFrames, StackOfAllocatorFramesIsNotHiddenWhole) {
  const Stack stack{.frames = {named("malloc")}, .status = AT_STACK_complete};
  EXPECT_EQ(shown_frames(stack, FrameChoice::Callers), (Indices{0}));
}

}  // namespace
}  // namespace alloctrail
