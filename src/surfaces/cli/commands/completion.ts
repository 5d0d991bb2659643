// `duraloom completion`: the script for a shell. Neighbour: ../completion-scripts.ts.
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { SHELLS, writeCompletion } from '../completion-scripts.ts';
import { requiredChoice } from '../parameters.ts';

/** The command. */
export const completion: Command = defineCommand({
  name: 'completion',
  group: 'Set up',
  summary: 'Print a completion script for a shell',
  details: 'The script is complete in itself: pressing Tab starts no program. Write it again after an update.',
  parameters: { shell: requiredChoice('<shell>', 'Which shell', SHELLS) },
  examples: [
    { line: 'duraloom completion bash >> ~/.bashrc', what: 'bash' },
    { line: 'duraloom completion zsh > ~/.zfunc/_duraloom', what: 'zsh, for a folder in fpath' },
    { line: 'duraloom completion fish > ~/.config/fish/completions/duraloom.fish', what: 'fish' },
  ],
  run: async ({ io, commands }, { shell }) => {
    await io.write(writeCompletion(shell, commands));
    return EXIT.ok;
  },
});
