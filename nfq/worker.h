// One thread that empties one queue.
//
// Theory of operation
//
// A worker waits for its queue, reads a batch, has the engine translate it, gives the verdicts, and
// four times a second lets the engine forget what has expired in its shard, and drops fragments
// that waited too long. It never blocks but in poll(), and neither allocates nor logs: what it sees
// it counts.
//
// A queue whose socket fails is given up, which makes the kernel drop all that waits, and bound
// again. When that fails too, the worker says so in failure() and ends; its packets are then
// dropped by the kernel until the daemon, which is told through `wakeup`, has ended as well.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "nfq/answer_sockets.h"
#include "nfq/counters.h"
#include "nfq/file_descriptor.h"
#include "nfq/packet_batch.h"
#include "nfq/queue_socket.h"
#include "nfq/receive_buffer.h"
#include "swnat/engine.h"

namespace swnat::nfq {

struct WorkerOptions {
  QueueSettings queue;
  std::uint32_t shard = 0;  // of the engine, whose expired sessions it frees
  std::uint32_t fwmark_mask = 0;
  int cpu = -1;     // that it runs on; -1: any
  int wakeup = -1;  // an eventfd, written to when the worker has failed
};

class Worker {
 public:
  // Binds the queue. Throws Error.
  Worker(Engine& engine, const WorkerOptions& options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();

  // Ends the thread after the batch that it is at, and gives the queue up: what waits is dropped.
  void request_stop();
  void join();

  std::uint16_t queue() const { return options_.queue.number; }
  const QueueCounters& counters() const { return counters_; }

  // When the thread last went through its loop; it does at least every `longest_pause`.
  Time last_beat() const { return Time(beat_.load(std::memory_order_relaxed)); }
  static constexpr Time longest_pause{250};

  // Bytes that its packets may fill, and what it reserves, with its thread's stack.
  static constexpr std::size_t memory_used = ReceiveBuffer::memory + HeldFragments::memory_used;
  static constexpr std::size_t memory_reserved =
      ReceiveBuffer::memory + HeldFragments::memory_reserved + (std::size_t{8} << 20);

  // Why it ended by itself, if it did.
  std::optional<std::string> failure() const;

  // Why the senders of dropped packets are not told, if it is so from the start.
  const std::string& answer_fault() const { return answers_.fault(); }

 private:
  void run();
  bool turn();
  bool answer_batch(Time now);
  bool drop_overdue(Time now);
  bool wait(int milliseconds);
  void expire(Time now);
  bool bind_again();
  void fail(const std::string& text);

  Engine& engine_;
  WorkerOptions options_;
  QueueCounters counters_;
  ReceiveBuffer buffer_;
  AnswerSockets answers_;
  PacketBatch packets_;
  std::optional<QueueSocket> socket_;
  FileDescriptor stop_event_;
  std::atomic<bool> stopping_{false};
  std::atomic<Time::rep> beat_{0};
  Time next_expiry_{0};
  int rebinds_in_a_row_ = 0;
  std::string failure_;  // written before failed_
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

}  // namespace swnat::nfq
