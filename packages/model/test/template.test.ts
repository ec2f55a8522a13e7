import { describe, expect, it } from 'vitest';

import {
  containerSpec,
  containerTemplateError,
  expandTemplate,
  fileTemplateError,
} from '../src/index.ts';

const scope = {
  fields: {
    Service: { ID: 's1', Name: 'web', Labels: { tier: 'front', 'com.example/x': '1' } },
    Node: { ID: 'n1', Hostname: 'host1', Platform: { Architecture: 'amd64', OS: 'linux' } },
    Task: { ID: 't1', Name: 'web.2.t1', Slot: '2' },
  },
  functions: { env: (name: string) => (name === 'A' ? 'a' : undefined) },
};

describe('templates', () => {
  it.each([
    ['nothing to expand', 'nothing to expand'],
    ['{{.Task.Slot}}', '2'],
    ['{{ .Service.Name }}-{{ .Task.Slot }}', 'web-2'],
    ['{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}', 'linux/amd64'],
    ['{{.Service.Labels.tier}}', 'front'],
    ['{{index .Service.Labels "com.example/x"}}', '1'],
    ['{{.Service.Labels}}', 'map[com.example/x:1 tier:front]'],
    ['{{join "-" .Service.Name .Task.Slot "x"}}', 'web-2-x'],
    ['{{env "A"}}', 'a'],
    ['{{"a \\"b\\""}} {{`raw "x"`}}', 'a "b" raw "x"'],
    ['a {{- /* comment */ -}} b', 'ab'],
    ['a  {{- .Task.Slot -}}  b', 'a2b'],
    ['{{"}}"}}', '}}'],
    ['} }} {', '} }} {'],
  ])('%s', (text, expected) => {
    expect(expandTemplate(text, scope)).toEqual({ kind: 'text', text: expected });
  });

  it.each([
    ['{{.Service.Nme}}', 'there is no .Service.Nme'],
    ['{{.Service.Labels.gone}}', 'there is no .Service.Labels.gone'],
    ['{{index .Service.Labels "gone"}}', 'there is no "gone"'],
    ['{{env "B"}}', 'there is no env "B"'],
    ['{{exec "rm"}}', '"exec" is no function'],
    ['{{if .Task.Slot}}', '"if" is no function'],
    ['{{env "A" "B"}}', 'env needs one name'],
    ['{{}}', 'it is empty'],
    ['{{.Task.Slot', '"{{" without its "}}"'],
    ['{{.Task.Slot | x}}', '"|" is not understood'],
    ['{{.Task.Slot .Task.ID}}', 'a value is followed by more'],
    ['{{.constructor.name}}', 'there is no .constructor'],
    ['{{toString "x"}}', 'is not understood'],
  ])('%s is refused', (text, message) => {
    const expanded = expandTemplate(text, scope);
    const fault = expanded.kind === 'error' ? expanded.message : 'expanded';
    expect(fault).toContain(message);
  });

  it.each([
    [{ env: ['A={{.Task.Slot}}', 'B={{.Service.Labels.any}}'] }, undefined],
    [{ hostname: '{{index .Service.Labels "a.b"}}' }, undefined],
    [{ env: ['A={{.Task.Slt}}'] }, 'env A: template "{{.Task.Slt}}": there is no .Task.Slt'],
    [{ hostname: '{{env "A"}}' }, 'hostname: template "{{env "A"}}": "env" is no function'],
    [
      { mounts: [{ kind: 'volume', source: 'v{{.Tsk}}', target: '/v' }] },
      'mount /v: template "{{.Tsk}}": there is no .Tsk',
    ],
  ] as const)('%j in a container spec', (part, expected) => {
    const spec = containerSpec.parse({ image: 'a', ...part });
    expect(containerTemplateError(spec)).toBe(expected);
  });

  it('knows more functions in files', () => {
    expect(fileTemplateError('{{env "A"}} {{secret "b"}} {{config "c"}}')).toBeUndefined();
    expect(fileTemplateError('{{password}}')).toContain('"password" is no function');
  });
});
