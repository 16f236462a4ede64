/**
 * Loaded before a command that another mswitch process starts (`node --import`): ends it where the other is gone, killed with no time
 * to say so. What it had done is in its last checkpoint.
 */
if (process.channel) {
  process.on("disconnect", () => process.exit(1));
  process.channel.unref();
}
